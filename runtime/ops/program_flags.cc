#include "runtime/ops/program_flags.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "absl/flags/commandlineflag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/flags/usage.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

constexpr size_t kNameWidth = 26;

bool AsksForHelp(absl::string_view argument) {
  return argument == "--help" || argument == "-help" || argument == "-h";
}

}  // namespace

void UnderscoresInFlags(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    char* letter = argv[i];
    while (*letter == '-') ++letter;
    if (letter - argv[i] == 0 || letter - argv[i] > 2) continue;
    for (; *letter != '\0' && *letter != '='; ++letter) {
      if (*letter == '-') *letter = '_';
    }
  }
}

std::string OwnFlagsHelp() {
  std::map<std::string, std::string> lines;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (!absl::EndsWith(flag->Filename(), "main.cc")) continue;
    std::string line = absl::StrCat(flag->IsOfType<bool>() ? "  --[no]" : "  --", name);
    line.resize(std::max(line.size() + 1, kNameWidth), ' ');
    absl::StrAppend(&line, flag->Help());
    if (!flag->DefaultValue().empty()) absl::StrAppend(&line, " (", flag->DefaultValue(), ")");
    lines[std::string(name)] = line;
  }
  std::string help;
  for (const auto& [name, line] : lines) absl::StrAppend(&help, line, "\n");
  return help;
}

absl::Status ReadFlags(int argc, char** argv, const char* usage) {
  absl::SetProgramUsageMessage(usage);
  for (int i = 1; i < argc; ++i) {
    if (!AsksForHelp(argv[i])) continue;
    std::cout << std::filesystem::path(argv[0]).filename().string() << ": " << usage << "\n\n"
              << OwnFlagsHelp();
    std::exit(0);
  }
  UnderscoresInFlags(argc, argv);
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("what is \"", rest[1], "\"? see --help"));
}

}  // namespace ddnn
