#include "tests/engine/random_network_spec.h"

#include <cstdlib>
#include <iostream>
#include <string>

#include "ddnn/v1/network.pb.h"
#include "models/section_layout.h"

namespace ddnn {
namespace testing {
namespace {

class SpecMaker {
 public:
  SpecMaker(Arithmetic arithmetic, std::mt19937* rng)
      : binary_(arithmetic == Arithmetic::kBinary), rng_(rng) {}

  v1::NetworkSpec Make() {
    v1::NetworkSpec spec;
    spec.set_name("random");
    v1::Input* input = spec.mutable_input();
    input->set_channels(Uniform(1, 3));
    input->set_height(Uniform(3, 13));
    input->set_width(Uniform(3, 13));
    input->set_offset(Uniform(0, 1) * 128);
    input->set_scale(binary_ ? 0.0078125f : 1.0f / 255);
    spec.set_views(Uniform(1, 3));
    for (int c = Uniform(2, 5); c > 0; --c) spec.add_class_name(std::string(1, 'a' + c));
    v1::Tier* device = spec.add_tier();
    device->set_name("device");
    AddBody(device, Uniform(0, 4));
    if (Uniform(0, 1) == 1) {
      AddExit(device, "local", spec.class_name_size());
      // CC of scores brings a linear layer along.
      if (spec.views() > 1) device->mutable_exit()->set_scores(Uniform(0, 1) ? v1::CC : v1::AP);
    }
    v1::Tier* cloud = spec.add_tier();
    cloud->set_name("cloud");
    const v1::Aggregator kinds[] = {v1::CC, v1::MP, v1::AP};
    cloud->mutable_features()->set_kind(kinds[Uniform(0, binary_ ? 1 : 2)]);
    AddBody(cloud, Uniform(0, 4));
    AddExit(cloud, "cloud", spec.class_name_size());
    return spec;
  }

 private:
  int Uniform(int low, int high) {
    return low + static_cast<int>((*rng_)() % static_cast<unsigned>(high - low + 1));
  }

  void FillConv(v1::Conv* conv) {
    conv->set_filters(Uniform(1, 20));
    conv->set_kernel(Uniform(1, 4));
    conv->set_stride(Uniform(0, 3));
    conv->set_padding(Uniform(0, conv->kernel() - 1));
  }

  void FillPool(v1::Pool* pool) {
    pool->set_kernel(Uniform(1, 4));
    pool->set_stride(Uniform(0, 3));
    pool->set_padding(Uniform(0, pool->kernel() / 2));
  }

  void AddBody(v1::Tier* tier, int layers) {
    for (int i = 0; i < layers; ++i) {
      switch (Uniform(0, binary_ ? 4 : 7)) {
        case 0:
        case 1:
          FillConv(tier->add_layer()->mutable_binary_conv());
          break;
        case 2:
          FillPool(tier->add_layer()->mutable_max_pool());
          break;
        case 3:
          if (binary_) {
            FillConv(tier->add_layer()->mutable_binary_conv());
            if (Uniform(0, 1) == 1) FillPool(tier->add_layer()->mutable_max_pool());
            tier->add_layer()->mutable_batch_norm();
            tier->add_layer()->mutable_sign();
          } else {
            FillConv(tier->add_layer()->mutable_conv());
          }
          break;
        case 4:
          tier->add_layer()->mutable_relu();
          break;
        case 5:
          FillPool(tier->add_layer()->mutable_average_pool());
          break;
        case 6:
          tier->add_layer()->mutable_batch_norm();
          break;
        case 7:
          tier->add_layer()->mutable_dropout()->set_probability(0.5f);
          break;
      }
    }
  }

  void AddExit(v1::Tier* tier, const std::string& name, int classes) {
    v1::Exit* exit = tier->mutable_exit();
    exit->set_name(name);
    exit->add_layer()->mutable_flatten();
    if (binary_ || Uniform(0, 1) == 1) {
      exit->add_layer()->mutable_binary_linear()->set_outputs(classes);
    } else {
      exit->add_layer()->mutable_linear()->set_outputs(classes);
    }
    if (Uniform(0, 2) > 0) exit->add_layer()->mutable_batch_norm();
  }

  const bool binary_;
  std::mt19937* const rng_;
};

// By the layers as they are run: the batch norm of a merged pair counts as float in the plan.
bool IsBinary(const NetworkPlan& plan) {
  for (int tier = 0; tier <= plan.root_tier(); ++tier) {
    const SectionLayout layout = LayOutSection(plan, tier, 0);
    if (plan.node(tier, 0).input.kind == ValueKind::kFloat) return false;
    for (const LayerSlot& slot : layout.body) {
      if (slot.out.kind == ValueKind::kFloat) return false;
    }
    for (const LayerSlot& slot : layout.head) {
      if (slot.in.kind == ValueKind::kFloat) return false;
    }
  }
  return true;
}

}  // namespace

NetworkPlan RandomPlan(Arithmetic arithmetic, std::mt19937* rng) {
  for (int attempt = 0; attempt < 10000; ++attempt) {
    auto plan = NetworkPlan::Create(SpecMaker(arithmetic, rng).Make());
    // Windows that do not fit, say.
    if (!plan.ok()) continue;
    if (arithmetic == Arithmetic::kBinary && !IsBinary(*plan)) continue;
    return *plan;
  }
  std::cerr << "no random network plans\n";
  std::abort();
}

}  // namespace testing
}  // namespace ddnn
