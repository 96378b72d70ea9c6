#include "tools/export/export_bundle.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "runtime/core/files.h"
#include "tools/export/section_onnx.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;

// With so many digits that the same float comes out of it: a sample may lie on a threshold.
std::string Exactly(float value) { return absl::StrFormat("%.9g", value); }

std::string JoinName(const v1::Aggregation& how) {
  if (!how.has_grid()) return v1::Aggregator_Name(how.kind());
  return absl::StrCat("CC ", how.grid().rows(), "x", how.grid().columns());
}

// joins_scores: the graph gives the scores of the children's exit, which is decided here.
void AddMetadata(const Bundle& bundle, const v1::Section& section, bool joins_scores,
                 OnnxGraph* graph) {
  const NetworkPlan& plan = bundle.plan;
  const int tier_index = *plan.FindTier(section.tier());
  const TierPlan& tier = plan.tiers()[tier_index];
  const NodePlan& node = tier.nodes[section.node()];
  graph->AddMetadata("ddnn.bundle", bundle.sha256_hex());
  graph->AddMetadata("ddnn.network", plan.spec().name());
  graph->AddMetadata("ddnn.tier", tier.name);
  graph->AddMetadata("ddnn.node", absl::StrCat(section.node()));
  graph->AddMetadata("ddnn.classes", absl::StrJoin(plan.spec().class_name(), ","));
  if (tier_index > 0) {
    graph->AddMetadata("ddnn.children", absl::StrJoin(node.children, ","));
    graph->AddMetadata("ddnn.features_join", JoinName(tier.features));
  }
  if (tier.children_exit >= 0) {
    const ExitPlan& exit = plan.exits()[tier.children_exit];
    graph->AddMetadata("ddnn.scores_join", v1::Aggregator_Name(exit.scores));
  }
  if (const int of = joins_scores ? tier.children_exit : tier.exit; of >= 0) {
    const ExitPlan& exit = plan.exits()[of];
    graph->AddMetadata("ddnn.exit", exit.name);
    graph->AddMetadata("ddnn.exit_decided_by", plan.tiers()[exit.decided_tier].name);
    if (exit.score_code.bits() > 0) {
      graph->AddMetadata("ddnn.score_code", absl::StrCat(exit.score_code.bits(), " bits, range ",
                                                         Exactly(exit.score_code.range())));
    }
    const ExitThreshold& rule = bundle.thresholds[of];
    graph->AddMetadata("ddnn.criterion", v1::Criterion_Name(rule.criterion));
    graph->AddMetadata("ddnn.temperature", Exactly(rule.temperature));
    graph->AddMetadata("ddnn.threshold", Exactly(rule.entropy));
    graph->AddMetadata("ddnn.threshold_missing",
                       absl::StrJoin(rule.missing, ",", [](std::string* out, float threshold) {
                         out->append(Exactly(threshold));
                       }));
  }
}

// The same bundle gives the same bytes in every run.
std::string Serialize(const onnx::ModelProto& model) {
  std::string data;
  {
    google::protobuf::io::StringOutputStream stream(&data);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    model.SerializeToCodedStream(&coded);
  }
  return data;
}

template <typename Values>
std::string Describe(const Values& values) {
  std::vector<std::string> parts;
  for (const onnx::ValueInfoProto& value : values) {
    std::vector<int64_t> sizes;
    for (const auto& dim : value.type().tensor_type().shape().dim()) {
      if (dim.has_dim_value()) sizes.push_back(dim.dim_value());
    }
    parts.push_back(absl::StrCat(value.name(), " ", absl::StrJoin(sizes, "x")));
  }
  return absl::StrJoin(parts, ", ");
}

// producer_name is the second field of a model and so stands within its first bytes.
bool IsExported(const fs::directory_entry& entry) {
  std::error_code error;
  if (entry.path().extension() != ".onnx" || !entry.is_regular_file(error)) return false;
  std::string start(64, '\0');
  std::ifstream file(entry.path(), std::ios::binary);
  file.read(&start[0], static_cast<std::streamsize>(start.size()));
  return start.find(kOnnxProducer) != std::string::npos;
}

absl::Status CheckPlace(const std::string& directory) {
  std::error_code error;
  const fs::file_status found = fs::symlink_status(directory, error);
  if (found.type() == fs::file_type::not_found) return absl::OkStatus();
  if (found.type() != fs::file_type::directory) {
    return absl::FailedPreconditionError(
        absl::StrCat(directory, ": is there and no folder, expected an earlier export or nothing"));
  }
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (IsExported(*at)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(directory, ": holds ", at->path().filename().string(), ", which ",
                     kOnnxProducer, " did not write; expected an earlier export or nothing"));
  }
  if (error) return ErrnoToStatus(error.value(), directory, "cannot be read");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<ExportedFile>> ExportOnnx(const Bundle& bundle,
                                                     const std::string& directory) {
  std::string place = directory;
  while (place.size() > 1 && place.back() == '/') place.pop_back();
  if (place.empty()) return absl::InvalidArgumentError("an export needs a folder, found \"\"");
  if (absl::Status status = CheckPlace(place); !status.ok()) return status;

  std::vector<ExportedFile> exported;
  std::map<std::string, std::string> files;
  const auto add = [&](const v1::Section& section, bool joins_scores, OnnxGraph graph) {
    AddMetadata(bundle, section, joins_scores, &graph);
    ExportedFile file;
    file.name =
        absl::StrCat(section.tier(), "-", section.node(), joins_scores ? ".scores.onnx" : ".onnx");
    file.inputs = Describe(graph.model().graph().input());
    file.outputs = Describe(graph.model().graph().output());
    std::string data = Serialize(graph.model());
    file.bytes = data.size();
    files[file.name] = std::move(data);
    exported.push_back(std::move(file));
  };
  for (const auto& [key, section] : bundle.sections) {
    if (!section.scores().empty()) {
      add(section, /*joins_scores=*/true, ScoresGraph(bundle.plan, section));
    }
    add(section, /*joins_scores=*/false, SectionGraph(bundle.plan, section));
  }
  if (absl::Status status = ReplaceFolder(place, files); !status.ok()) return status;
  return exported;
}

}  // namespace ddnn
