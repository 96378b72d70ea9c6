#include "runtime/ops/config.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "models/text_proto.h"
#include "runtime/core/bundle.h"

namespace ddnn {
namespace {

using google::protobuf::FieldDescriptor;

constexpr size_t kMaxConfigBytes = 1 << 20;

enum : unsigned { kD = 1, kE = 2, kC = 4, kAll = 7 };

// What a field means, who has it, and what it is when nobody says. Numbers lie in [min, max].
struct Field {
  const char* name;
  unsigned roles;
  const char* fallback;
  double min, max;
  const char* help;
};

constexpr double kMillion = 1e6;
constexpr double kDay = 24 * 3600 * 1000.0;

constexpr Field kFields[] = {
    {"bundle", kAll, "", 0, 0,
     "folder that ddnn-train wrote; device and edge fetch it from the parent without"},
    {"state", kD | kE, "", 0, 0,
     "folder for what is fetched; without it one in $STATE_DIRECTORY, as systemd gives"},
    {"update_limit_ms", kAll, "120000", 1, kDay,
     "a new bundle that a connected node has not taken by then is withdrawn"},
    {"view", kD, "", 0, 63, "which of the network's views this device is"},
    {"node", kE, "", 0, 63, "which node of its tier this edge is"},
    {"tier", kE, "", 0, 0, "name of this edge's tier; empty: the one above the devices"},
    {"listen", kE | kC, "", 0, 0,
     "HOST:PORT for the children (required); port 0 lets the kernel choose"},
    {"parent", kD | kE, "", 0, 0, "HOST:PORT of the node above"},
    {"source", kD, "", 0, 0,
     "where frames come from (required): camera:0, rtsp://..., http://..., watch:DIR, video:FILE, "
     "images:DIR, or a dataset"},
    {"rate", kD, "", 0, 1e4,
     "frames per second; 0: as fast as answers come, 10 from cameras; the same for all of a scene"},
    {"roi", kD, "", 0, 0, "X,Y,WIDTH,HEIGHT: only these pixels of the pictures are shown"},
    {"resize", kD, "stretch", 0, 0,
     "how pictures get the network's proportions: stretch, fit (black borders) or crop"},
    {"samples", kD, "", 0, 1e15, "stop after this many; 0: when the source ends"},
    {"max_in_flight", kD, "32", 0, kMillion,
     "samples under way at most; a dataset waits then, a camera drops"},
    {"share_pixels", kD, "", 0, 0, "pictures of hard samples may go up"},
    {"wait_for_tree", kD, "", 0, 0, "hold the first frame back until the whole tree is connected"},
    {"stream", kD, "", 0, 4294967295.0, "number of the stream these frames belong to"},
    {"gather_deadline_ms", kAll, "200", 0, kDay, "children silent for so long are missing"},
    {"sample_deadline_ms", kAll, "2000", 0, kDay, "a sample without an answer by then ends"},
    {"cache_bytes", kAll, "4194304", 0, 1e12, "features kept until they are asked for, bytes"},
    {"cache_ms", kAll, "10000", 0, kDay, "and how long"},
    {"max_samples", kAll, "1024", 0, kMillion, "samples under way at most; more are shed"},
    {"threshold", kAll, "", 0, 1, "EXIT=ENTROPY: overrides the bundle's, -1: never; repeatable"},
    {"max_batch", kE | kC, "16", 0, 4096, "samples in one forward pass at most"},
    {"threads", kE | kC, "1", 0, 1024, "threads of the engine"},
    {"store", kC, "", 0, 0, "SQLite file for hard samples; empty: none are kept"},
    {"store_bytes", kC, "268435456", 0, 1e15, "its size at most; the oldest go first"},
    {"spool", kD, "", 0, 0,
     "folder for hard samples while the parent is away, until the root stores them; empty: none"},
    {"spool_bytes", kD, "67108864", 0, 1e15, "its size at most; the oldest go first"},
    {"spool_rate", kD, "20", 0.001, 1e6, "samples sent from it per second at most"},
    {"json", kAll, "", 0, 0, "print each answer as a line of JSON"},
    {"stats_file", kAll, "", 0, 0, "write counters (JSON) here at the end"},
    {"max_batching_delay", kAll, "0", 0, 0,
     "what is to be sent may wait so long for more to go with it, such as 50ms"},
    {"log_level", kAll, "info", 0, 0, "trace, debug, info, warning, error or off; on stderr"},
};

unsigned Bit(Role role) {
  switch (role) {
    case Role::kDevice:
      return kD;
    case Role::kEdge:
      return kE;
    case Role::kCloud:
      return kC;
  }
  return 0;
}

const char* Name(Role role) {
  switch (role) {
    case Role::kDevice:
      return "device";
    case Role::kEdge:
      return "edge";
    case Role::kCloud:
      return "cloud";
  }
  return "";
}

const Field* FindField(const std::string& name) {
  for (const Field& field : kFields) {
    if (name == field.name) return &field;
  }
  return nullptr;
}

absl::StatusOr<const Field*> FieldFor(Role role, const std::string& name,
                                      const std::string& shown) {
  const Field* field = FindField(name);
  if (field == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(shown, ": no such flag; see --help"));
  }
  if ((field->roles & Bit(role)) == 0) {
    return absl::InvalidArgumentError(absl::StrCat(shown, ": does not apply to a ", Name(role)));
  }
  return field;
}

absl::Status BadValue(const std::string& shown, const std::string& value,
                      const std::string& expected) {
  return absl::InvalidArgumentError(absl::StrCat(shown, ": \"", value, "\", expected ", expected));
}

absl::Status CheckNumber(const Field& field, double value, const std::string& shown) {
  if (value >= field.min && value <= field.max) return absl::OkStatus();
  return BadValue(shown, absl::StrCat(value), absl::StrCat(field.min, " to ", field.max));
}

absl::Status SetThreshold(const std::string& value, v1::NodeConfig* config) {
  const size_t equals = value.rfind('=');
  float entropy = 0;
  if (equals == std::string::npos || equals == 0 ||
      !absl::SimpleAtof(value.substr(equals + 1), &entropy)) {
    return BadValue("--threshold", value, "EXIT=ENTROPY, such as local=0.5");
  }
  (*config->mutable_threshold())[value.substr(0, equals)] = entropy;
  return absl::OkStatus();
}

// Sets one field from its text; its range is checked later, with the file's.
absl::Status SetField(const std::string& name, const std::string& value, const std::string& shown,
                      v1::NodeConfig* config) {
  if (name == "threshold") return SetThreshold(value, config);
  const FieldDescriptor* field = config->GetDescriptor()->FindFieldByName(name);
  const google::protobuf::Reflection* reflection = config->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      reflection->SetString(config, field, value);
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_BOOL: {
      bool parsed;
      if (!absl::SimpleAtob(value, &parsed)) return BadValue(shown, value, "true or false");
      reflection->SetBool(config, field, parsed);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double parsed;
      if (!absl::SimpleAtod(value, &parsed)) return BadValue(shown, value, "a number");
      reflection->SetDouble(config, field, parsed);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t parsed;
      if (!absl::SimpleAtoi(value, &parsed)) return BadValue(shown, value, "a whole number");
      reflection->SetInt32(config, field, parsed);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT32: {
      uint32_t parsed;
      if (!absl::SimpleAtoi(value, &parsed)) return BadValue(shown, value, "a whole number");
      reflection->SetUInt32(config, field, parsed);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t parsed;
      if (!absl::SimpleAtoi(value, &parsed)) return BadValue(shown, value, "a whole number");
      reflection->SetInt64(config, field, parsed);
      return absl::OkStatus();
    }
    default:
      return BadValue(shown, value, "nothing: this cannot be a flag");
  }
}

double NumberOf(const v1::NodeConfig& config, const FieldDescriptor* field) {
  const google::protobuf::Reflection* reflection = config.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection->GetDouble(config, field);
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetInt32(config, field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return reflection->GetUInt32(config, field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection->GetInt64(config, field));
    default:
      return 0;
  }
}

constexpr absl::Duration kMaxBatchingDelay = absl::Seconds(10);

absl::Status CheckBatchingDelay(const std::string& text, const std::string& where) {
  absl::Duration delay;
  if (absl::ParseDuration(text, &delay) && delay >= absl::ZeroDuration() &&
      delay <= kMaxBatchingDelay) {
    return absl::OkStatus();
  }
  return BadValue(absl::StrCat(where, "max_batching_delay"), text, "0 to 10s, such as 50ms");
}

// That every field that is set applies and lies in its range. `where` is put before its name.
absl::Status CheckFields(Role role, const v1::NodeConfig& config, const std::string& where) {
  std::vector<const FieldDescriptor*> set;
  config.GetReflection()->ListFields(config, &set);
  for (const FieldDescriptor* descriptor : set) {
    const std::string shown = absl::StrCat(where, descriptor->name());
    absl::StatusOr<const Field*> field = FieldFor(role, descriptor->name(), shown);
    if (!field.ok()) return field.status();
    absl::Status status = absl::OkStatus();
    if (!descriptor->is_map() && (*field)->max > 0) {
      status = CheckNumber(**field, NumberOf(config, descriptor), shown);
    }
    if (!status.ok()) return status;
  }
  if (!config.max_batching_delay().empty()) {
    absl::Status status = CheckBatchingDelay(config.max_batching_delay(), where);
    if (!status.ok()) return status;
  }
  for (const auto& [exit, entropy] : config.threshold()) {
    if (!std::isfinite(entropy) || entropy < -1 || entropy > 1) {
      return BadValue(absl::StrCat(where, "threshold ", exit), absl::StrCat(entropy),
                      "0 to 1, or -1 for never");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadConfigFile(Role role, const std::string& path, v1::NodeConfig* config) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxConfigBytes);
  if (!text.ok()) return text.status();
  absl::Status status = ParseTextProto(*text, path, config);
  if (!status.ok()) return status;
  return CheckFields(role, *config, path + ": ");
}

void FillDefaults(Role role, v1::NodeConfig* config) {
  for (const Field& field : kFields) {
    if ((field.roles & Bit(role)) == 0 || *field.fallback == '\0') continue;
    const FieldDescriptor* descriptor = config->GetDescriptor()->FindFieldByName(field.name);
    if (config->GetReflection()->HasField(*config, descriptor)) continue;
    // The table's own texts always parse; a test sees to it.
    SetField(field.name, field.fallback, field.name, config).IgnoreError();
  }
}

// systemd's StateDirectory=; several nodes may share it.
std::string DefaultState(Role role, const v1::NodeConfig& config) {
  const char* folders = std::getenv("STATE_DIRECTORY");
  if (folders == nullptr || *folders == '\0') return "";
  const std::string folder = std::string(folders).substr(0, std::string(folders).find(':'));
  if (role == Role::kDevice) return absl::StrCat(folder, "/device-", config.view());
  return absl::StrCat(folder, "/", config.tier().empty() ? "edge" : config.tier(), "-",
                      config.node());
}

absl::Status CheckBundle(Role role, const v1::NodeConfig& config) {
  if (!config.bundle().empty()) {
    if (config.state().empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "--state is where a bundle is kept that the parent gives; it cannot stand with --bundle");
  }
  if (role == Role::kCloud) return absl::InvalidArgumentError("--bundle is missing");
  if (config.parent().empty()) {
    return absl::InvalidArgumentError("--bundle is missing, and no --parent to fetch it from");
  }
  if (config.state().empty()) {
    return absl::InvalidArgumentError(
        "--bundle is missing; to fetch it from the parent give --state DIR to keep it in");
  }
  return absl::OkStatus();
}

absl::Status CheckRequired(Role role, const v1::NodeConfig& config) {
  if (absl::Status status = CheckBundle(role, config); !status.ok()) return status;
  if (role == Role::kDevice && config.source().empty()) {
    return absl::InvalidArgumentError("--source is missing");
  }
  if (role != Role::kDevice && config.listen().empty()) {
    return absl::InvalidArgumentError("--listen is missing");
  }
  return absl::OkStatus();
}

// One flag of the command line, as text.
struct Flag {
  std::string shown, name, value;
};

bool IsSwitch(const std::string& name) {
  const FieldDescriptor* field = v1::NodeConfig::descriptor()->FindFieldByName(name);
  return field != nullptr && field->cpp_type() == FieldDescriptor::CPPTYPE_BOOL;
}

// Takes the flag at args[*at], and its value from the next argument if need be.
absl::StatusOr<Flag> TakeFlag(const std::vector<std::string>& args, size_t* at) {
  const std::string& arg = args[(*at)++];
  if (arg.size() < 3 || arg.compare(0, 2, "--") != 0) {
    return absl::InvalidArgumentError(absl::StrCat("\"", arg, "\": expected --flag; see --help"));
  }
  const size_t equals = arg.find('=');
  Flag flag;
  flag.shown = arg.substr(0, equals);
  flag.name = flag.shown.substr(2);
  std::replace(flag.name.begin(), flag.name.end(), '-', '_');  // --max-samples
  if (equals != std::string::npos) {
    flag.value = arg.substr(equals + 1);
  } else if (IsSwitch(flag.name)) {
    flag.value = "true";
  } else if (flag.name.compare(0, 2, "no") == 0 && IsSwitch(flag.name.substr(2))) {
    flag.name = flag.name.substr(2);
    flag.value = "false";
  } else if (flag.name != "config" && FindField(flag.name) == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(flag.shown, ": no such flag; see --help"));
  } else if (*at < args.size()) {
    flag.value = args[(*at)++];
  } else {
    return absl::InvalidArgumentError(absl::StrCat(flag.shown, ": its value is missing"));
  }
  return flag;
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(Role role, const std::vector<std::string>& args) {
  CommandLine line;
  std::vector<Flag> flags;
  for (size_t at = 0; at < args.size();) {
    if (args[at] == "--help" || args[at] == "-h") {
      line.help = true;
      return line;
    }
    absl::StatusOr<Flag> flag = TakeFlag(args, &at);
    if (!flag.ok()) return flag.status();
    if (flag->name == "config") {
      absl::Status status = ReadConfigFile(role, flag->value, &line.config);
      if (!status.ok()) return status;
    } else {
      flags.push_back(*std::move(flag));
    }
  }
  for (const Flag& flag : flags) {
    absl::StatusOr<const Field*> field = FieldFor(role, flag.name, flag.shown);
    if (!field.ok()) return field.status();
    absl::Status status = SetField(flag.name, flag.value, flag.shown, &line.config);
    if (!status.ok()) return status;
  }
  if (role != Role::kCloud && line.config.bundle().empty() && line.config.state().empty()) {
    line.config.set_state(DefaultState(role, line.config));
  }
  absl::Status status = CheckFields(role, line.config, "--");
  if (status.ok()) status = CheckRequired(role, line.config);
  if (!status.ok()) return status;
  FillDefaults(role, &line.config);
  return line;
}

std::string FlagsHelp(Role role) {
  std::string help = "  --config FILE           the fields below as text-format protobuf\n";
  for (const Field& field : kFields) {
    if ((field.roles & Bit(role)) == 0) continue;
    std::string flag = absl::StrCat(IsSwitch(field.name) ? "  --[no]" : "  --", field.name);
    flag.resize(std::max<size_t>(flag.size() + 1, 26), ' ');
    absl::StrAppend(&help, flag, field.help);
    if (*field.fallback != '\0') absl::StrAppend(&help, " (", field.fallback, ")");
    absl::StrAppend(&help, "\n");
  }
  return help;
}

absl::StatusOr<NodeHost::Options> HostOptions(const v1::NodeConfig& config, const Bundle& bundle,
                                              int tier, int index) {
  NodeHost::Options options;
  options.listen = config.listen();
  options.parent = config.parent();
  if (config.max_batch() > 0) options.max_batch = config.max_batch();
  // An empty one is none; ParseCommandLine let no other pass that does not parse.
  if (!config.max_batching_delay().empty() &&
      !absl::ParseDuration(config.max_batching_delay(), &options.max_batching_delay)) {
    return BadValue("max_batching_delay", config.max_batching_delay(), "a duration, such as 50ms");
  }
  NodeOptions& node = options.node;
  node.tier = tier;
  node.index = index;
  node.thresholds = bundle.thresholds;
  for (const auto& [name, entropy] : config.threshold()) {
    absl::StatusOr<int> exit = bundle.plan.FindExit(name);
    if (!exit.ok()) return exit.status();
    node.thresholds[*exit].entropy = entropy;
    node.thresholds[*exit].missing.clear();  // what was asked for holds whoever is missing
  }
  node.gather_deadline = absl::Milliseconds(config.gather_deadline_ms());
  node.sample_deadline = absl::Milliseconds(config.sample_deadline_ms());
  node.cache_bytes = static_cast<size_t>(config.cache_bytes());
  node.cache_time = absl::Milliseconds(config.cache_ms());
  node.max_samples = config.max_samples();
  node.share_pixels = config.share_pixels();
  return options;
}

}  // namespace ddnn
