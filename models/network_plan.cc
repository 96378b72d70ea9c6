#include "models/network_plan.h"

#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/plan_builder.h"
#include "models/spec_checks.h"
#include "models/text_proto.h"

namespace ddnn {
namespace {

// 65536 class names of 64 bytes fit.
constexpr std::streamsize kMaxSpecBytes = 8 << 20;

template <typename Items>
absl::StatusOr<int> FindByName(const char* what, const Items& items, const std::string& name) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].name == name) return static_cast<int>(i);
  }
  const std::string names = absl::StrJoin(
      items, ", ", [](std::string* out, const auto& item) { out->append(item.name); });
  return absl::NotFoundError(absl::StrCat("no ", what, " \"", name, "\"; there are: ", names));
}

}  // namespace

std::string ToString(const Shape& shape) {
  return absl::StrCat(shape.channels, "x", shape.height, "x", shape.width);
}

absl::StatusOr<NetworkPlan> NetworkPlan::Create(const v1::NetworkSpec& spec) {
  absl::Status status = CheckSpec(spec);
  if (!status.ok()) return status;
  return PlanBuilder(spec).Build();
}

Shape NetworkPlan::view_shape() const {
  return Shape{spec_.input().channels(), spec_.input().height(), spec_.input().width()};
}

absl::StatusOr<int> NetworkPlan::FindExit(const std::string& name) const {
  return FindByName("exit", exits_, name);
}

absl::StatusOr<int> NetworkPlan::FindTier(const std::string& name) const {
  return FindByName("tier", tiers_, name);
}

uint64_t NetworkPlan::all_views() const {
  return views() == 64 ? ~uint64_t{0} : (uint64_t{1} << views()) - 1;
}

absl::StatusOr<NetworkPlan> LoadNetwork(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot be opened"));
  std::string text(static_cast<size_t>(kMaxSpecBytes) + 1, '\0');
  file.read(&text[0], static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.fail() && !file.eof())) {
    return absl::UnavailableError(absl::StrCat(path, ": cannot be read"));
  }
  if (file.gcount() > kMaxSpecBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": larger than ", kMaxSpecBytes, " bytes, no network spec"));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  v1::NetworkSpec spec;
  absl::Status status = ParseTextProto(text, path, &spec);
  if (!status.ok()) return status;
  absl::StatusOr<NetworkPlan> plan = NetworkPlan::Create(spec);
  if (plan.ok()) return plan;
  return absl::Status(plan.status().code(), absl::StrCat(path, ": ", plan.status().message()));
}

}  // namespace ddnn
