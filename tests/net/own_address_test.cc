#include "runtime/net/own_address.h"

#include <gtest/gtest.h>

namespace ddnn {
namespace {

TEST(OwnAddress, IsTheOneThatTheWayLeavesBy) {
  EXPECT_EQ(OwnAddressTowards("127.0.0.1", 29500), "127.0.0.1");
  // Every 127.x.y.z is reached from 127.0.0.1.
  EXPECT_EQ(OwnAddressTowards("127.1.2.3", 1), "127.0.0.1");
}

TEST(OwnAddress, IsEmptyWhereThereIsNoWay) {
  // No name is that long, so nobody is asked for it.
  EXPECT_EQ(OwnAddressTowards(std::string(300, 'a'), 29500), "");
}

}  // namespace
}  // namespace ddnn
