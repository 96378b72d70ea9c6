#ifndef DDNN_CLOUD_QUERY_HELP_H_
#define DDNN_CLOUD_QUERY_HELP_H_

#include <string>
#include <vector>

namespace ddnn {

/// One command of ddnn-query: what it does and which flags mean something to it.
struct QueryHelp {
  std::string name;
  std::vector<std::string> flags;  ///< besides those of every command
  std::string text;                ///< all of `ddnn-query NAME --help`
};

/// All of them, in the order in which people meet them.
const std::vector<QueryHelp>& QueryHelps();

/// `ddnn-query --help`, or that of one command; the general one for a name that is none.
std::string HelpText(const std::string& command);

}  // namespace ddnn

#endif  // DDNN_CLOUD_QUERY_HELP_H_
