// Who may include whom: docs/architecture.md. Reads the sources themselves, so a forbidden include
// fails here even where CMake's include paths would let it compile.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

struct Rule {
  /// Our own parts, besides itself; generated ddnn/v1 headers count as proto.
  std::set<std::string> parts;
  /// May include LibTorch; may include gRPC or sockets.
  bool torch = false;
  bool sockets = false;
};

const std::set<std::string> kLow = {"proto", "models", "runtime/core"};
const std::set<std::string> kNet = {"proto", "models", "runtime/core", "runtime/node"};
const std::set<std::string> kEdge = {"proto",        "models",         "runtime/core",
                                     "runtime/lite", "runtime/node",   "runtime/torch",
                                     "runtime/net",  "runtime/update", "runtime/ops"};
const std::set<std::string> kTrain = {"proto",         "models",       "datasets",
                                      "runtime/core",  "runtime/lite", "runtime/node",
                                      "runtime/torch", "runtime/net",  "runtime/ops"};
const std::set<std::string> kDevice = {"proto",        "models",         "datasets",
                                       "runtime/core", "runtime/lite",   "runtime/node",
                                       "runtime/net",  "runtime/update", "runtime/ops"};
const std::set<std::string> kTools = {
    "proto",        "models",        "datasets",    "runtime/core",   "runtime/lite",
    "runtime/node", "runtime/torch", "runtime/net", "runtime/update", "runtime/ops",
    "train",        "device",        "edge",        "cloud"};

const std::map<std::string, Rule>& Rules() {
  static const auto* const kRules = new std::map<std::string, Rule>{
      {"proto", {{}, false, false}},
      {"models", {{"proto"}, false, false}},
      {"datasets", {{"proto", "models"}, false, false}},
      {"runtime/core", {{"proto", "models"}, false, false}},
      {"runtime/lite", {kLow, false, false}},
      {"runtime/torch", {kLow, true, false}},
      {"runtime/node", {kLow, false, false}},
      {"runtime/net", {kNet, false, true}},
      {"runtime/update",
       {{"proto", "models", "runtime/core", "runtime/node", "runtime/net"}, false, true}},
      {"runtime/ops",
       {{"proto", "models", "runtime/core", "runtime/node", "runtime/net"}, false, true}},
      {"train", {kTrain, true, false}},
      {"device", {kDevice, false, true}},
      {"edge", {kEdge, true, true}},
      {"cloud", {kEdge, true, true}},
      {"tools", {kTools, true, true}},
  };
  return *kRules;
}

// "runtime/net" for "runtime/net/listener.h", "cloud" for "cloud/store/x.h", "" for nobody's.
std::string PartOf(const std::string& path) {
  if (path.rfind("ddnn/v1/", 0) == 0) return "proto";
  const size_t slash = path.find('/');
  if (slash == std::string::npos) return "";
  const std::string top = path.substr(0, slash);
  if (top == "tests" || top == "bench" || top == "deploy" || top == "docs") return top;
  if (top != "runtime") return Rules().count(top) != 0 ? top : "";
  const size_t second = path.find('/', slash + 1);
  return path.substr(0, second);
}

bool IsTorch(const std::string& header) {
  for (const char* prefix : {"torch/", "ATen/", "c10/", "caffe2/"}) {
    if (header.rfind(prefix, 0) == 0) return true;
  }
  return false;
}

bool IsSocket(const std::string& header) {
  for (const char* prefix :
       {"grpc/", "grpcpp/", "grpc++/", "sys/socket.h", "netinet/", "arpa/inet.h", "netdb.h"}) {
    if (header.rfind(prefix, 0) == 0) return true;
  }
  return header.find(".grpc.pb.h") != std::string::npos;
}

// What is wrong with `header` being included by a file of `part`; empty if nothing.
std::string Complaint(const std::string& part, const std::string& header) {
  const Rule& rule = Rules().at(part);
  if (IsTorch(header) && !rule.torch) return "LibTorch is not for " + part;
  if (IsSocket(header) && !rule.sockets) return "sockets are not for " + part;
  const std::string other = PartOf(header);
  if (other.empty() || other == part || rule.parts.count(other) != 0) return "";
  return part + " may not include " + other;
}

std::vector<std::string> Includes(const std::string& text) {
  static const std::regex kInclude(R"(^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">])",
                                   std::regex::multiline);
  std::vector<std::string> headers;
  for (std::sregex_iterator i(text.begin(), text.end(), kInclude), end; i != end; ++i) {
    headers.push_back((*i)[1]);
  }
  return headers;
}

fs::path Root() {
  const char* root = std::getenv("DDNN_SOURCE_DIR");
  return root == nullptr ? fs::current_path() : fs::path(root);
}

std::string ReadText(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

bool IsSource(const fs::path& path) {
  static const std::set<std::string> kEndings = {".h", ".cc", ".cpp", ".hpp", ".in"};
  return kEndings.count(path.extension().string()) != 0;
}

// Every source file of a top-level folder, relative to the root.
std::vector<std::string> Sources(const std::string& top) {
  std::vector<std::string> files;
  if (!fs::exists(Root() / top)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(Root() / top)) {
    if (entry.is_regular_file() && IsSource(entry.path())) {
      files.push_back(fs::relative(entry.path(), Root()).generic_string());
    }
  }
  return files;
}

TEST(IncludeRules, HoldInEverySourceFile) {
  int files = 0, includes = 0;
  for (const char* top :
       {"models", "datasets", "runtime", "train", "device", "edge", "cloud", "tools"}) {
    for (const std::string& file : Sources(top)) {
      const std::string part = PartOf(file);
      ASSERT_EQ(Rules().count(part), 1u) << file << " is in a part without a rule: " << part;
      ++files;
      for (const std::string& header : Includes(ReadText(Root() / file))) {
        EXPECT_EQ(Complaint(part, header), "") << file << " includes " << header;
        ++includes;
      }
    }
  }
  EXPECT_GT(files, 30) << "looked in the wrong place: " << Root();
  EXPECT_GT(includes, 300);
}

// An include of our own by a path that is not from the root would slip through the rules.
TEST(IncludeRules, OurHeadersAreIncludedByTheirFullPath) {
  for (const char* top :
       {"models", "datasets", "runtime", "train", "device", "edge", "cloud", "tools"}) {
    for (const std::string& file : Sources(top)) {
      for (const std::string& header : Includes(ReadText(Root() / file))) {
        EXPECT_EQ(header.find(".."), std::string::npos) << file << " includes " << header;
        const bool beside = header.find('/') == std::string::npos &&
                            fs::exists((Root() / file).parent_path() / header);
        EXPECT_FALSE(beside) << file << " includes " << header << " without its folder";
      }
    }
  }
}

TEST(IncludeRules, CatchWhatIsForbidden) {
  EXPECT_NE(Complaint("device", "cloud/hard_store.h"), "");
  EXPECT_NE(Complaint("device", "edge/main.h"), "");
  EXPECT_NE(Complaint("edge", "datasets/dataset.h"), "");
  EXPECT_NE(Complaint("models", "runtime/core/bundle.h"), "");
  EXPECT_NE(Complaint("runtime/core", "runtime/node/node.h"), "");
  EXPECT_NE(Complaint("runtime/node", "runtime/net/listener.h"), "");
  EXPECT_NE(Complaint("runtime/node", "grpcpp/grpcpp.h"), "");
  EXPECT_NE(Complaint("runtime/node", "ddnn/v1/tier.grpc.pb.h"), "");
  EXPECT_NE(Complaint("runtime/lite", "torch/torch.h"), "");
  EXPECT_NE(Complaint("device", "ATen/core/Tensor.h"), "");
  EXPECT_NE(Complaint("device", "runtime/torch/torch_engine.h"), "");
  EXPECT_NE(Complaint("train", "netdb.h"), "");
  EXPECT_NE(Complaint("tools", "tests/support/random_network.h"), "");
  EXPECT_NE(Complaint("cloud", "bench/x.h"), "");
  EXPECT_EQ(Complaint("device", "runtime/lite/lite_engine.h"), "");
  EXPECT_EQ(Complaint("device", "ddnn/v1/tier.pb.h"), "");
  EXPECT_EQ(Complaint("runtime/core", "openssl/evp.h"), "");
}

TEST(IncludeRules, FindEveryFormOfAnInclude) {
  EXPECT_THAT(Includes("#include <a/b.h>\n  #  include \"c.h\"\n// #include \"d.h\"\n"),
              testing::ElementsAre("a/b.h", "c.h"));
}

// All parts share one namespace: two classes of one name in one program are one to the linker.
TEST(Headers, NameEachClassOnce) {
  static const std::regex kClass(
      R"(^(?:class|struct)(?: [A-Z_]+(?:\([^)]*\))?)* (\w+)(?: final)?(?: : .*| \{.*)$)");
  std::map<std::string, std::string> where;
  for (const char* top :
       {"models", "datasets", "runtime", "train", "device", "edge", "cloud", "tools"}) {
    for (const std::string& file : Sources(top)) {
      if (fs::path(file).extension() != ".h") continue;
      std::ifstream lines(Root() / file);
      std::smatch found;
      for (std::string line; std::getline(lines, line);) {
        if (!std::regex_search(line, found, kClass)) continue;
        const auto [other, is_new] = where.emplace(found[1], file);
        EXPECT_TRUE(is_new) << found[1] << ": " << other->second << " and " << file;
      }
    }
  }
  EXPECT_GT(where.size(), 100u);
}

// Protocol buffers include no message of a higher part, because there is only one folder of them.
TEST(IncludeRules, ProtoFilesImportOnlyTheirOwn) {
  static const std::regex kImport(R"(import\s+"([^"]+)\")");
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(Root() / "proto")) {
    if (entry.path().extension() != ".proto") continue;
    ++files;
    const std::string text = ReadText(entry.path());
    for (std::sregex_iterator i(text.begin(), text.end(), kImport), end; i != end; ++i) {
      EXPECT_TRUE(fs::exists(Root() / "proto" / std::string((*i)[1])))
          << entry.path() << ": " << (*i)[1];
    }
  }
  EXPECT_GE(files, 6);
}

}  // namespace
