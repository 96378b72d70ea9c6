// usage: consumer BUNDLE; what the bundle says about one sample that is all gray, seen by every
// view.
#include <cstdio>

#include "runtime/core/bundle.h"
#include "runtime/lite/lite_engine.h"
#include "runtime/node/whole_network.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const absl::StatusOr<ddnn::Bundle> bundle = ddnn::LoadBundle(argv[1]);
  if (!bundle.ok()) return std::fprintf(stderr, "%s\n", bundle.status().ToString().c_str()), 1;
  const auto network = ddnn::WholeNetwork::Create(*bundle, ddnn::CreateLiteEngine);
  if (!network.ok()) return std::fprintf(stderr, "%s\n", network.status().ToString().c_str()), 1;

  const ddnn::NetworkPlan& plan = (*network)->plan();
  ddnn::WholeInput input;
  input.pixels.assign(plan.views() * plan.view_shape().size(), '\x80');
  input.presence = (uint64_t{1} << plan.views()) - 1;
  const auto output = (*network)->Run({&input, 1});
  if (!output.ok()) return std::fprintf(stderr, "%s\n", output.status().ToString().c_str()), 1;
  const ddnn::Answer answer = ddnn::Decide(plan, bundle->thresholds, (*output)[0], input.presence);
  std::printf("class %d at exit %d, scores", answer.class_index, answer.exit);
  for (float score : (*output)[0].exit_scores[answer.exit]) std::printf(" %a", score);
  std::printf("\n");
  return 0;
}
