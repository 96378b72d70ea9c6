#include "tests/node/simulated_tree.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "runtime/node/section_io.h"

namespace ddnn {

SimulatedTree::SimulatedTree(const Bundle& bundle, EngineFactory factory, Options options)
    : plan_(bundle.plan), options_(std::move(options)), random_(options_.seed) {
  for (int tier = 0; tier <= plan_.root_tier(); ++tier) {
    for (size_t index = 0; index < plan_.tiers()[tier].nodes.size(); ++index) {
      auto place = std::make_unique<Place>();
      place->tier = tier;
      place->index = static_cast<int>(index);
      NodeOptions node = options_.node;
      node.tier = tier;
      node.index = place->index;
      node.thresholds = options_.thresholds;
      place->node = std::make_unique<Node>(plan_, node);
      place->last_up = place->last_down = now_;
      if (NeedsEngine(plan_, tier)) {
        auto engine = factory(plan_, bundle.sections.at({tier, place->index}));
        if (engine.ok()) {
          place->engine = *std::move(engine);
        } else {
          complaints_.push_back(engine.status().ToString());
        }
      }
      places_[{tier, place->index}] = std::move(place);
    }
  }
  for (auto& [at, place] : places_) {
    if (at.first < plan_.root_tier()) MendLink(at.first, at.second);
  }
}

absl::Duration SimulatedTree::Delay() {
  return options_.max_delay * std::uniform_real_distribution<double>(0, 1)(random_);
}

bool SimulatedTree::Chance(double probability) {
  return std::uniform_real_distribution<double>(0, 1)(random_) < probability;
}

void SimulatedTree::Feed(int view, SampleKey key, std::string pixels, absl::Time at) {
  Later(at, [this, view, key, pixels = std::move(pixels)] {
    std::vector<Action> actions;
    Place& device = At(0, view);
    const absl::Status ok = device.node->OnChildFeatures(0, key, pixels, 0, now_, &actions);
    if (!ok.ok()) complaints_.push_back(ok.ToString());
    Do(&device, std::move(actions));
  });
}

void SimulatedTree::FeedAbsent(int view, SampleKey key, absl::Time at) {
  Later(at, [this, view, key] {
    std::vector<Action> actions;
    Place& device = At(0, view);
    const absl::Status ok = device.node->OnChildAbsent(0, key, now_, &actions);
    if (!ok.ok()) complaints_.push_back(ok.ToString());
    Do(&device, std::move(actions));
  });
}

void SimulatedTree::CutLink(int tier, int index) {
  Place& child = At(tier, index);
  if (!child.linked) return;
  child.linked = false;
  ++child.link_epoch;
  const NodePlan& plan = plan_.node(tier, index);
  Place& parent = At(tier + 1, plan.parent);
  std::vector<Action> actions;
  child.node->OnParentGone(now_, &actions);
  Do(&child, std::move(actions));
  actions.clear();
  parent.node->OnChildGone(plan.slot, now_, &actions);
  Do(&parent, std::move(actions));
}

void SimulatedTree::MendLink(int tier, int index) {
  Place& child = At(tier, index);
  if (child.linked) return;
  child.linked = true;
  const NodePlan& plan = plan_.node(tier, index);
  child.node->OnParentUp(now_);
  At(tier + 1, plan.parent).node->OnChildJoined(plan.slot, now_);
}

void SimulatedTree::Up(Place* from,
                       std::function<absl::Status(Node*, int, std::vector<Action>*)> say) {
  if (!from->linked || Chance(options_.loss)) return;
  from->last_up = std::max(from->last_up, now_ + Delay());
  Later(from->last_up, [this, from, epoch = from->link_epoch, say = std::move(say)] {
    if (from->link_epoch != epoch) return;
    const NodePlan& plan = plan_.node(from->tier, from->index);
    Place& parent = At(from->tier + 1, plan.parent);
    std::vector<Action> actions;
    const absl::Status ok = say(parent.node.get(), plan.slot, &actions);
    if (!ok.ok()) complaints_.push_back(ok.ToString());
    Do(&parent, std::move(actions));
  });
}

void SimulatedTree::Down(Place* to, std::function<void(Node*, std::vector<Action>*)> say) {
  if (!to->linked || Chance(options_.loss)) return;
  to->last_down = std::max(to->last_down, now_ + Delay());
  Later(to->last_down, [this, to, epoch = to->link_epoch, say = std::move(say)] {
    if (to->link_epoch != epoch) return;
    std::vector<Action> actions;
    say(to->node.get(), &actions);
    Do(to, std::move(actions));
  });
}

void SimulatedTree::RunEngine(Place* place, const SampleKey& key,
                              std::function<void(std::vector<Action>*)> done) {
  const bool fails = Chance(options_.engine_failure);
  Later(now_ + Delay(), [this, place, key, fails, done = std::move(done)] {
    std::vector<Action> actions;
    if (fails) {
      place->node->SectionFailed(key, absl::InternalError("on purpose"), now_, &actions);
    } else {
      done(&actions);
    }
    Do(place, std::move(actions));
  });
}

void SimulatedTree::Give(Place* place, const GiveAnswer& give) {
  if (give.repeated) {
    place->record.repeated.push_back(give.answer);
  } else {
    auto& answers = place->record.answers[give.answer.sample];
    answers.push_back(give.answer);
    if (answers.size() > 1) complaints_.push_back("a sample was answered twice at one node");
  }
  for (int slot : give.children) {
    Answer answer = give.answer;  // only what travels
    answer.scores.clear();
    answer.payload_bytes = 0;
    answer.latency = absl::ZeroDuration();
    const int child = plan_.node(place->tier, place->index).children[slot];
    Down(&At(place->tier - 1, child), [this, answer](Node* node, std::vector<Action>* actions) {
      node->OnAnswer(answer, now_, actions);
    });
  }
}

void SimulatedTree::Do(Place* place, std::vector<Action> actions) {
  for (Action& action : actions) Do(place, &action);
  Check(*place);
}

void SimulatedTree::Do(Place* place, Action* action) {
  if (auto* send = std::get_if<SendScores>(action)) {
    ++place->record.scores_sent;
    Up(place, [this, s = *send](Node* parent, int slot, std::vector<Action>* then) {
      return parent->OnChildScores(slot, s.sample, s.scores, s.presence, now_, then, s.time_left);
    });
  } else if (auto* send = std::get_if<SendFeatures>(action)) {
    ++place->record.features_sent;
    Up(place, [this, s = *send](Node* parent, int slot, std::vector<Action>* then) {
      return parent->OnChildFeatures(slot, s.sample, s.features, s.presence, now_, then,
                                     s.time_left);
    });
  } else if (auto* send = std::get_if<SendAbsent>(action)) {
    ++place->record.absent_sent;
    Up(place, [this, key = send->sample](Node* parent, int slot, std::vector<Action>* then) {
      return parent->OnChildAbsent(slot, key, now_, then);
    });
  } else if (auto* send = std::get_if<SendPixels>(action)) {
    Up(place, [this, s = *send](Node* parent, int slot, std::vector<Action>* then) {
      return parent->OnChildPixels(slot, s.sample, s.pixels, now_, then);
    });
  } else if (auto* ask = std::get_if<RequestFeatures>(action)) {
    ++place->record.features_requested;
    const int child = plan_.node(place->tier, place->index).children[ask->child];
    Down(&At(place->tier - 1, child),
         [this, key = ask->sample](Node* node, std::vector<Action>* then) {
           node->OnFeaturesWanted(key, now_, then);
         });
  } else if (auto* run = std::get_if<RunSection>(action)) {
    RunEngine(place, run->sample, [this, place, r = *run](std::vector<Action>* then) {
      auto output = place->engine->Run({r.input});
      if (!output.ok()) return complaints_.push_back(output.status().ToString());
      place->node->SectionDone(r.sample, output->front(), now_, then);
    });
  } else if (auto* run = std::get_if<RunScores>(action)) {
    RunEngine(place, run->sample, [this, place, r = *run](std::vector<Action>* then) {
      auto scores = place->engine->RunScores(r.joined);
      if (!scores.ok()) return complaints_.push_back(scores.status().ToString());
      place->node->ScoresDone(r.sample, *scores, now_, then);
    });
  } else if (auto* give = std::get_if<GiveAnswer>(action)) {
    Give(place, *give);
  } else if (auto* keep = std::get_if<KeepHard>(action)) {
    place->record.hard[keep->answer.sample] = keep->features;
  } else if (auto* keep = std::get_if<KeepPixels>(action)) {
    for (auto& [view, bytes] : keep->pixels) place->record.pixels[keep->sample][view] = bytes;
  }
}

void SimulatedTree::Check(const Place& place) {
  const NodeCounters& count = place.node->counters();
  const uint64_t ended = count.answered + count.shed + count.expired;
  const std::string who = absl::StrCat("node ", place.index, " of tier ", place.tier, ": ");
  if (count.entered != ended + place.node->under_way()) {
    complaints_.push_back(absl::StrCat(who, count.entered, " entered, ", ended, " ended, ",
                                       place.node->under_way(), " under way"));
  }
  if (place.record.answers.size() != ended) {
    complaints_.push_back(
        absl::StrCat(who, ended, " ended, but answers for ", place.record.answers.size()));
  }
  if (place.node->under_way() > options_.node.max_samples) {
    complaints_.push_back(absl::StrCat(who, place.node->under_way(), " samples under way"));
  }
  if (place.node->cached_bytes() > options_.node.cache_bytes) {
    complaints_.push_back(absl::StrCat(who, place.node->cached_bytes(), " bytes cached"));
  }
}

void SimulatedTree::RunUntil(absl::Time end) {
  for (;;) {
    absl::Time due = events_.empty() ? absl::InfiniteFuture() : events_.begin()->first;
    Place* timed = nullptr;
    for (auto& [at, place] : places_) {
      if (place->node->NextDeadline() >= due) continue;
      due = place->node->NextDeadline();
      timed = place.get();
    }
    if (due > end) break;
    now_ = std::max(now_, due);
    if (timed != nullptr) {
      std::vector<Action> actions;
      timed->node->OnTime(now_, &actions);
      Do(timed, std::move(actions));
      if (timed->node->NextDeadline() <= now_) {
        complaints_.push_back("a deadline stays after OnTime");
        break;
      }
    } else {
      const Event event = std::move(events_.begin()->second);
      events_.erase(events_.begin());
      event();
    }
  }
  now_ = std::max(now_, end);
}

bool SimulatedTree::Quiet() const {
  return events_.empty() && std::all_of(places_.begin(), places_.end(), [](const auto& place) {
           return place.second->node->under_way() == 0;
         });
}

void SimulatedTree::RunUntilQuiet(absl::Duration limit) {
  const absl::Time end = now_ + limit;
  while (now_ < end && !Quiet()) RunUntil(now_ + absl::Milliseconds(50));
  if (!Quiet()) complaints_.push_back("something hangs");
}

}  // namespace ddnn
