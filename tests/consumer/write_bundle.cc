// usage: write_bundle NETWORK FOLDER; a bundle with random sections, for a program that needs one.
#include <cstdio>

#include "tests/support/random_network.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const absl::StatusOr<ddnn::NetworkPlan> plan = ddnn::LoadNetwork(argv[1]);
  ddnn::Random random(11);
  const absl::Status status =
      plan.ok() ? ddnn::SaveBundleTo(argv[2], ddnn::RandomBundle(*plan, 0.5f, &random))
                : plan.status();
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
