// One step of several processes is the step of one with the joint batch.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "tests/datasets/test_files.h"
#include "tests/train/free_port.h"
#include "tests/train/toy_dataset.h"
#include "train/checkpoint.h"
#include "train/epoch_record.h"
#include "train/learner.h"
#include "train/ops.h"
#include "train/process_group.h"
#include "train/training_state.h"

namespace ddnn::train {
namespace {

constexpr int64_t kBatch = 13;

// Fused blocks with batch norm, masked and plain batch norm, with an activation behind it or not,
// exits of nodes and of joined scores.
std::string Spec() {
  return absl::StrReplaceAll(
      TinySpec("CC"),
      {{"layer { flatten {} } layer { linear",
        "layer { conv { filters: 3 kernel: 3 padding: 1 } } layer { relu {} } "
        "layer { batch_norm {} } layer { conv { filters: 4 kernel: 3 padding: 1 } } "
        "layer { relu {} } layer { batch_norm {} } layer { relu {} } layer { flatten {} } layer { "
        "linear"}});
}

Batch RandomBatch(const NetworkPlan& plan, int seed) {
  at::manual_seed(100 + seed);
  const Shape shape = plan.view_shape();
  const int64_t views = plan.views();
  Batch batch;
  batch.pixels =
      at::randint(0, 256, {kBatch, views, shape.channels, shape.height, shape.width}, at::kByte);
  // Even seeds: one part may have all views and the other not.
  batch.presence = at::rand({kBatch, views}) < 0.7;
  if (seed % 2 == 0) batch.presence.narrow(0, 0, 7).fill_(true);
  batch.labels = at::randint(0, plan.classes() + 1, {kBatch}, at::kLong);
  batch.view_labels = at::where(batch.presence, batch.labels.unsqueeze(1), plan.classes());
  return batch;
}

Batch Part(const Batch& whole, int rank, int size) {
  const int64_t begin = kBatch * rank / size, end = kBatch * (rank + 1) / size;
  const auto part = [&](const at::Tensor& t) { return t.narrow(0, begin, end - begin); };
  return {part(whole.pixels), part(whole.presence), part(whole.labels), part(whole.view_labels),
          kBatch};
}

// One step from weights that only rank 0 draws as one process does. The first moments behind it
// are a tenth of the gradients.
v1::Checkpoint Learn(int seed, ProcessGroup* group) {
  const NetworkPlan plan = PlanOf(Spec());
  at::manual_seed(seed + (group == nullptr ? 0 : 50 * group->rank()));
  Learner learner(plan, at::kCPU, at::tensor({0.3f, 1.0f, 2.5f}), group);
  if (group != nullptr) {
    std::vector<at::Tensor> all;
    for (const StateTensor& t : learner.state()) all.push_back(t.value);
    group->Broadcast(all);
  }
  const Batch batch = RandomBatch(plan, seed);
  v1::Checkpoint checkpoint;
  *checkpoint.mutable_now() = NewEpochRecord(plan, 1);
  learner.Step(group == nullptr ? batch : Part(batch, group->rank(), group->size()), 1e-3,
               checkpoint.mutable_now());
  StoreModel(learner.state(), learner.adam(), &checkpoint);
  return checkpoint;
}

// Of two batch norms in LibTorch's operations, as a GPU computes them: output's and input's part.
at::Tensor PlainNorm(ProcessGroup* group) {
  at::manual_seed(7);
  const auto mine = [&](const at::Tensor& t) {
    if (group == nullptr) return t;
    const int64_t begin = kBatch * group->rank() / group->size();
    return t.narrow(0, begin, kBatch * (group->rank() + 1) / group->size() - begin);
  };
  const at::Tensor whole = at::randn({kBatch, 4, 3, 3}, at::kDouble);
  const at::Tensor mask = (at::rand({kBatch, 2}) < 0.6).to(at::kDouble);
  const at::Tensor pull = at::randn({kBatch, 4, 3, 3}, at::kDouble);
  const at::Tensor x = mine(whole).clone().requires_grad_();
  const at::Tensor gamma = at::rand({4}, at::kDouble) + 0.5, beta = at::rand({4}, at::kDouble);
  const at::Tensor mean = at::zeros({4}, at::kDouble), variance = at::ones({4}, at::kDouble);
  const at::Tensor y =
      MaskedBatchNorm(x, mine(mask), gamma, beta, mean, variance, 0.1, 1e-5, group);
  (y * mine(pull) * y).sum().backward();
  // Each rank's rows in their place, so that their sum is the whole.
  at::Tensor all = at::zeros({2, kBatch, 4, 3, 3}, at::kFloat);
  const int64_t begin = group == nullptr ? 0 : kBatch * group->rank() / group->size();
  all[0].narrow(0, begin, x.size(0)).copy_(y.detach());
  all[1].narrow(0, begin, x.size(0)).copy_(x.grad());
  if (group != nullptr) group->Sum(all);
  return all;
}

int Worker(const std::string& out) {
  const auto environment = ReadRankEnvironment([](const char* name) { return getenv(name); });
  if (!environment.ok()) return 2;
  RankTimes times;
  times.connect = absl::Seconds(2);
  auto group = ProcessGroup::Join(*environment, nullptr, false, times);
  if (!group.ok()) {
    std::fprintf(stderr, "%s\n", group.status().ToString().c_str());
    return 3;
  }
  for (int seed = 0; seed < 6; ++seed) {
    const v1::Checkpoint checkpoint = Learn(seed, group->get());
    if (!SaveCheckpoint(absl::StrCat(out, ".", seed, ".", environment->rank), checkpoint).ok()) {
      return 4;
    }
  }
  // The others wait for a rank that is slow, however short they may take to connect.
  if (environment->rank == 1) absl::SleepFor(absl::Seconds(4));
  const at::Tensor norm = PlainNorm(group->get()).contiguous();
  const std::string bytes(reinterpret_cast<const char*>(norm.data_ptr<float>()), 4 * norm.numel());
  WriteFile(absl::StrCat(out, ".norm.", environment->rank), bytes);
  return 0;
}

class DataParallelStepTest : public ::testing::TestWithParam<int> {
 protected:
  // Starts as many ranks of this very program and waits for them.
  void RunRanks(int size) {
    const std::string port = std::to_string(FreePort());
    std::vector<pid_t> children;
    for (int rank = 0; rank < size; ++rank) {
      children.push_back(fork());
      if (children.back() != 0) continue;
      setenv("MASTER_ADDR", "127.0.0.1", 1);
      setenv("MASTER_PORT", port.c_str(), 1);
      setenv("WORLD_SIZE", std::to_string(size).c_str(), 1);
      setenv("RANK", std::to_string(rank).c_str(), 1);
      const std::string out = folder_ / "out";
      execl("/proc/self/exe", "rank", "--rank", out.c_str(), static_cast<char*>(nullptr));
      _exit(127);
    }
    for (pid_t child : children) {
      int status = 0;
      waitpid(child, &status, 0);
      ASSERT_TRUE(WIFEXITED(status));
      ASSERT_EQ(WEXITSTATUS(status), 0);
    }
  }

  TempFolder folder_;
};

std::vector<float> Floats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / 4);
  std::copy_n(bytes.data(), values.size() * 4, reinterpret_cast<char*>(values.data()));
  return values;
}

void ExpectClose(const std::string& found, const std::string& expected, double relative = 1e-5) {
  const std::vector<float> a = Floats(found), b = Floats(expected);
  ASSERT_EQ(a.size(), b.size());
  double largest = 0, away = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    largest = std::max<double>(largest, std::abs(b[i]));
    away = std::max<double>(away, std::abs(a[i] - b[i]));
  }
  EXPECT_LE(away, relative * largest);
}

TEST_P(DataParallelStepTest, HasTheGradientsStatisticsAndLossOfTheJointBatch) {
  at::set_num_threads(1);
  RunRanks(GetParam());
  for (int seed = 0; seed < 6; ++seed) {
    SCOPED_TRACE(seed);
    const v1::Checkpoint whole = Learn(seed, nullptr);
    const auto found = LoadCheckpoint(absl::StrCat(folder_ / "out", ".", seed, ".0"), 1 << 20);
    ASSERT_TRUE(found.ok()) << found.status();
    for (int i = 0; i < whole.moment_size(); ++i) {
      SCOPED_TRACE(absl::StrCat("moment ", i));
      // First and second moments take turns; a square is twice as far away.
      ExpectClose(found->moment(i), whole.moment(i), i % 2 == 0 ? 1e-5 : 2e-5);
    }
    EXPECT_EQ(found->now().samples(), kBatch);
    EXPECT_NEAR(found->now().loss_sum(), whole.now().loss_sum(), 1e-6 * whole.now().loss_sum());
    for (int e = 0; e < whole.now().exit_size(); ++e) {
      EXPECT_EQ(found->now().exit(e).counted(), whole.now().exit(e).counted());
      EXPECT_EQ(found->now().exit(e).right(), whole.now().exit(e).right());
    }
    // Whoever does the same sums on all ranks stays the same, bit for bit.
    for (int rank = 1; rank < GetParam(); ++rank) {
      const auto other =
          LoadCheckpoint(absl::StrCat(folder_ / "out", ".", seed, ".", rank), 1 << 20);
      ASSERT_TRUE(other.ok()) << other.status();
      EXPECT_EQ(other->SerializeAsString(), found->SerializeAsString());
    }
  }
  const at::Tensor norm = PlainNorm(nullptr).contiguous();
  const auto joint = ReadFile(absl::StrCat(folder_ / "out", ".norm.0"), 1 << 20);
  ASSERT_TRUE(joint.ok());
  ExpectClose(*joint,
              std::string(reinterpret_cast<const char*>(norm.data_ptr<float>()), 4 * norm.numel()));
}

INSTANTIATE_TEST_SUITE_P(Ranks, DataParallelStepTest, ::testing::Values(2, 3));

}  // namespace

int RankMain(const char* out) {
  at::set_num_threads(1);
  try {
    return Worker(out);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 5;
  }
}

}  // namespace ddnn::train

int main(int argc, char** argv) {
  if (argc == 3 && std::string(argv[1]) == "--rank") return ddnn::train::RankMain(argv[2]);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
