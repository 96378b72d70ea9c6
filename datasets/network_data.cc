#include "datasets/network_data.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "datasets/data_spec.h"

namespace ddnn {
namespace {

std::string FolderSpec(const NetworkPlan& plan, const std::string& text) {
  const absl::StatusOr<DataSpec> spec = ParseDataSpec(text);
  if (!spec.ok() || spec->kind != "folder") return text;
  const std::string classes = absl::StrJoin(plan.spec().class_name(), ",");
  std::string full = text;
  const auto add = [&](const char* key, const std::string& value) {
    if (spec->options.count(key) != 0) return;
    absl::StrAppend(&full, absl::StrContains(full, '?') ? "&" : "?", key, "=", value);
  };
  add("size", ToString(plan.view_shape()));
  add("views", absl::StrCat(plan.views()));
  // A name with an & in it cannot stand there; then the folders' names must be all the classes.
  if (!absl::StrContains(classes, '&')) add("classes", classes);
  return full;
}

}  // namespace

absl::Status CheckDataFits(const NetworkPlan& plan, const DatasetInfo& info) {
  const auto wrong = [&](const std::string& network, const std::string& data) {
    return absl::InvalidArgumentError(absl::StrCat("network ", plan.spec().name(), " has ", network,
                                                   ", but ", info.spec, " has ", data));
  };
  const Shape shape = plan.view_shape();
  const Shape found{info.channels, info.height, info.width};
  if (info.views != plan.views()) {
    return wrong(absl::StrCat(plan.views(), " views"), absl::StrCat(info.views));
  }
  if (!(found == shape)) {
    return wrong(absl::StrCat("views of ", ToString(shape)), ToString(found));
  }
  if (static_cast<int>(info.class_names.size()) != plan.classes()) {
    return wrong(absl::StrCat(plan.classes(), " classes"), absl::StrCat(info.class_names.size()));
  }
  for (int c = 0; c < plan.classes(); ++c) {
    if (info.class_names[c] != plan.spec().class_name(c)) {
      return wrong(absl::StrCat("\"", plan.spec().class_name(c), "\" as class ", c),
                   absl::StrCat("\"", info.class_names[c], "\""));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Dataset>> OpenDatasetFor(const NetworkPlan& plan,
                                                        const std::string& spec) {
  absl::StatusOr<std::unique_ptr<Dataset>> dataset = OpenDataset(FolderSpec(plan, spec));
  if (!dataset.ok()) return dataset.status();
  if (absl::Status fits = CheckDataFits(plan, (*dataset)->info()); !fits.ok()) return fits;
  return dataset;
}

}  // namespace ddnn
