// ddnn-export: a bundle's sections in a format that other tools read.

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/ops/program_flags.h"
#include "tools/export/export_bundle.h"

ABSL_FLAG(std::string, bundle, "", "the bundle, as ddnn-train wrote it");
ABSL_FLAG(std::string, onnx, "", "the folder for the ONNX files; an earlier export is replaced");

namespace ddnn {
namespace {

constexpr char kUsage[] = R"(writes each section of a bundle as an ONNX model (opset 13).

  ddnn-export --bundle out/six --onnx out/six_onnx

gives out/six_onnx/device-0.onnx, ..., edge-0.onnx, cloud-0.onnx, one for each node:

  device tier     pixels [batch, C, H, W], 0 to 255 as floats      -> features, scores
  tiers above     joined [batch, C, H, W], the children's features -> features, scores
  TIER-N.scores   joined_scores [batch, children * classes]        -> scores

Scores come where the section has an exit; the .scores file where a node joins its children's scores
by CC (MP and AP are a maximum and an average over those present, which need no model). Which bundle,
tier, node, children, joins, exit, threshold and classes: in each model's metadata_props, as ddnn.*.

Binary layers become float layers with weights of -1 and +1: the same results, 32 times the bytes.
docs/onnx.md says how to join features and scores and which runtimes were tried, docs/python.md how
to read a bundle itself from Python.)";

absl::Status Export() {
  const std::string path = absl::GetFlag(FLAGS_bundle), out = absl::GetFlag(FLAGS_onnx);
  if (path.empty()) return absl::InvalidArgumentError("--bundle is missing; see --help");
  if (out.empty()) return absl::InvalidArgumentError("--onnx is missing; see --help");
  const absl::StatusOr<Bundle> bundle = LoadBundle(path);
  if (!bundle.ok()) return bundle.status();
  const absl::StatusOr<std::vector<ExportedFile>> files = ExportOnnx(*bundle, out);
  if (!files.ok()) return files.status();
  absl::PrintF("%s, bundle %s, to %s\n", bundle->plan.spec().name(),
               bundle->sha256_hex().substr(0, 12), out);
  size_t width = 0;
  for (const ExportedFile& file : *files) width = std::max(width, file.name.size());
  for (const ExportedFile& file : *files) {
    absl::PrintF("  %-*s  %9d bytes  %s -> %s\n", static_cast<int>(width), file.name, file.bytes,
                 file.inputs, file.outputs);
  }
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  absl::Status status = ReadFlags(argc, argv, kUsage);
  if (status.ok()) status = Export();
  if (status.ok()) return 0;
  absl::FPrintF(stderr, "ddnn-export: %s\n", status.message());
  return 1;
}

}  // namespace
}  // namespace ddnn

int main(int argc, char** argv) { return ddnn::Main(argc, argv); }
