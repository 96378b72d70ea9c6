#ifndef DDNN_TRAIN_SCHEDULE_H_
#define DDNN_TRAIN_SCHEDULE_H_

#include "ddnn/v1/network.pb.h"

namespace ddnn::train {

/// What to multiply training.learning_rate by.
///
/// \param schedule  a checked one; nothing set: cosine down to 0
/// \param epochs    of the whole run, at least 1
/// \param done      epochs done, fractions included, 0 to `epochs`
/// \return          0 to 1; a function of its arguments alone
/// Source: cosine: Loshchilov and Hutter, ICLR 2017 (arXiv 1608.03983), without restarts; one
/// cycle: Smith and Topin, 2017 (arXiv 1708.07120), with both parts cosines.
double ScheduleFactor(const v1::Schedule& schedule, int epochs, double done);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_SCHEDULE_H_
