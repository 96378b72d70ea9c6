#include "cloud/query_help.h"

namespace ddnn {
namespace {

constexpr char kGeneral[] =
    R"(ddnn-query asks the cloud at the top of a tree: what it was unsure about, what it would say about
your pictures, and what it is saying right now.

usage: ddnn-query [--cloud=HOST:PORT] COMMAND [arguments] [flags]

commands
  hard               list the samples that even the cloud was unsure about, newest first
  show ID            everything known about one of them
  label ID CLASS     say what it really is
  export DIR         write them as a dataset that ddnn-train reads
  classify IMAGE...  send pictures of one sample, one per view, and print the answer
  watch              print answers as the tree gives them
  status             who is connected, which bundle runs, which were refused, and what was answered

flags of every command
  --cloud=HOST:PORT  where ddnn-cloud listens; 127.0.0.1:7200 when absent
  --timeout=5s       how long to wait for an answer
  --json             JSON for scripts instead of tables

examples
  ddnn-query watch --samples=10
  ddnn-query hard --since=1h --min_entropy=0.8
  ddnn-query label 17 Sneaker
  ddnn-query export mistakes --labelled_only
  ddnn-query classify front.png left.png - right.png

ddnn-query COMMAND --help says more about each. Errors go to stderr, with exit code 1.
)";

constexpr char kHard[] = R"(usage: ddnn-query hard [flags]

Lists hard samples, newest first: the cloud's last exit was unsure about them too (its entropy was above
the bundle's threshold). Only a cloud that was started with --store=FILE keeps any.

flags
  --since=WHEN --until=WHEN  only those kept in this time. WHEN is how long ago (90s, 30m, 1h, 2d) or a
                             date in UTC (2026-03-01, 2026-03-01T12:00:00Z)
  --class=CLASS              only those the network took for a CLASS
  --min_entropy=E            only those at least this unsure, 0 to 1
  --labelled, --unlabelled   only those somebody labelled, or nobody
  --page_size=N              rows on a page, 1 to 1000; 20 when absent
  --page_token=TOKEN         the page after the one that ended with this token (same filter)

examples
  ddnn-query hard --since=1h
  ddnn-query hard --class=Shirt --min_entropy=0.8 --unlabelled
  ddnn-query hard --json --page_size=1000 | jq '.sample[].id'
)";

constexpr char kShow[] = R"(usage: ddnn-query show ID

Prints everything about one hard sample: when it came, which views saw it, the network's answer with the
probability of every class, its label, and of which views pictures are kept. --json adds the features and
pictures themselves, in base64.

examples
  ddnn-query show 17
  ddnn-query show 17 --json | jq '.scores'
)";

constexpr char kLabel[] = R"(usage: ddnn-query label ID CLASS
       ddnn-query label ID --clear

Says what a hard sample really is, so that a network can learn from it (see export). CLASS is one of the
network's class names, in quotes where it has spaces.

flags
  --clear  take the label back

examples
  ddnn-query label 17 Sneaker
  ddnn-query label 17 "Ankle boot"
  ddnn-query label 17 --clear
)";

constexpr char kExport[] = R"(usage: ddnn-query export DIR [--labelled_only]

Writes hard samples as a dataset, DIR/train/CLASS/STREAM-SAMPLE/VIEW.png, which ddnn-train and ddnn-eval read;
it prints the data spec for them, with the network's own classes and views. Samples without pictures are left out and counted: devices send pictures of hard samples
only when started with --share_pixels. DIR must be new or empty; it appears whole or not at all.

flags
  --labelled_only  only those somebody labelled. Otherwise the network's own answer stands in where there
                   is no label, which teaches a network its own mistakes: label first.

examples
  ddnn-query export mistakes --labelled_only
  ddnn-train --network models/six_cameras.textproto --out bundle2 \
      --data 'folder:mistakes?size=1x32x32&views=6&classes=...'   (as export printed it)
)";

constexpr char kClassify[] = R"(usage: ddnn-query classify IMAGE...

Sends pictures of one sample to the cloud, which runs the whole network on them and answers as the tree
would: with the first exit that is sure. PNG or JPEG of any size; they are resized and turned grey where
the network wants it. Each picture belongs to one view (camera):

  IMAGE       the next view, counting from 0
  -           the next view did not see it
  VIEW=IMAGE  that view

At least one view is needed; missing ones are missing cameras.

examples
  ddnn-query classify front.png left.png right.png
  ddnn-query classify front.png - right.png       without view 1
  ddnn-query classify 5=top.jpg --json            only view 5
)";

constexpr char kWatch[] = R"(usage: ddnn-query watch [--samples=N]

Prints each answer as the cloud gives it: its class, the exit that gave it, how unsure it was (0 is sure, 1
is a guess), which views had a part in it, the payload bytes the cloud received and the milliseconds it took
there. Answers that an edge or device gives by itself never reach the cloud and are not seen here. A
terminal or script that reads too slowly loses the oldest answers and is told how many.

flags
  --samples=N  end after N answers

examples
  ddnn-query watch
  ddnn-query watch --json | jq -r 'select(.hard) | .sequence'
)";

constexpr char kStatus[] = R"(usage: ddnn-query status

Prints how the cloud is: which bundle it runs, two while a new one takes the old one's place; which of its
children are connected; what became of the samples since it started; bundles that were refused, by whom and
why; how far the clocks of its children are apart; how many hard samples its store holds.

examples
  ddnn-query status
  ddnn-query status --json | jq -r '.bundle[0].missing[]?'
)";

}  // namespace

const std::vector<QueryHelp>& QueryHelps() {
  static const auto* const helps = new std::vector<QueryHelp>{
      {"hard",
       {"since", "until", "class", "min_entropy", "labelled", "unlabelled", "page_size",
        "page_token"},
       kHard},
      {"show", {}, kShow},
      {"label", {"clear"}, kLabel},
      {"export", {"labelled_only"}, kExport},
      {"classify", {}, kClassify},
      {"watch", {"samples"}, kWatch},
      {"status", {}, kStatus},
  };
  return *helps;
}

std::string HelpText(const std::string& command) {
  for (const QueryHelp& help : QueryHelps()) {
    if (help.name == command) return help.text;
  }
  return kGeneral;
}

}  // namespace ddnn
