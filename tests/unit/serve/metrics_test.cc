// What an owner says of itself to Prometheus.
#include "serve/metrics_server.h"

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <string>

#include "serve/http_request.h"
#include "unit/serve/served_image.h"

namespace vnvram::test {
namespace {

using std::chrono::milliseconds;
using testing::Test;

class MetricsTest : public ServedImage {
protected:
  void SetUp() override {
    serve({spec("a", 4096), spec("b", 65536)});
    owner_ = operators();
  }
  void TearDown() override {
    owner_.reset();
    ServedImage::TearDown();
  }
  /// What the line says that begins so.
  std::string value(const std::string& metric) {
    const Result<std::string> text = owner_->metrics();
    EXPECT_TRUE(text.ok());
    const std::size_t found = ("\n" + *text).find("\n" + metric + " ");
    if (found == std::string::npos) {
      return "";
    }
    const std::size_t begin = found + metric.size() + 1;
    return text->substr(begin, text->find('\n', begin) - begin);
  }

  std::unique_ptr<OwnerClient> owner_;
};

TEST_F(MetricsTest, TheyCountWhatSessionsDo) {
  const auto writer = client();
  for (int round = 0; round < 3; ++round) {
    ASSERT_OK(put(*writer, "a", std::to_string(round)));
  }
  ASSERT_OK(writer->write("a", 0, bytes("deferred"), Durability::deferred));
  ASSERT_OK(writer->flush());
  EXPECT_KIND(writer->read_all("nobody"), not_found);
  EXPECT_KIND(put(*writer, "nobody", "x"), not_found);
  EXPECT_EQ(value("vnvram_commits_total"), "3");
  EXPECT_EQ(value("vnvram_commit_duration_seconds_count"), "3");
  EXPECT_EQ(value("vnvram_commit_duration_seconds_bucket{le=\"+Inf\"}"), "3");
  EXPECT_EQ(value("vnvram_deferred_writes_total"), "1");
  EXPECT_EQ(value("vnvram_failed_calls_total{kind=\"not-found\"}"), "2");
  EXPECT_EQ(value("vnvram_failed_calls_total{kind=\"io\"}"), "0");
  EXPECT_EQ(value("vnvram_sessions"), "2");
  EXPECT_EQ(value("vnvram_sessions_total"), "2");
  EXPECT_EQ(value("vnvram_blob_writer_session{blob=\"a\"}"), "2");
  EXPECT_EQ(value("vnvram_blob_writer_session{blob=\"b\"}"), "");
  EXPECT_GE(std::stod(value("vnvram_calls_total")), 8);
}

TEST_F(MetricsTest, TheySayHowTheImageStands) {
  const auto writer = client();
  ASSERT_OK(put(*writer, "a", "1234567"));
  const StoreInfo info = keeper_.info();
  EXPECT_EQ(value("vnvram_image_attached"), "1");
  EXPECT_EQ(value("vnvram_generation"), std::to_string(info.generation));
  EXPECT_EQ(value("vnvram_epoch"), std::to_string(info.epoch));
  EXPECT_EQ(std::stoull(value("vnvram_ring_size_bytes")), info.ring_size_bytes);
  EXPECT_EQ(std::stoull(value("vnvram_space_free_bytes")), info.space_free_bytes);
  EXPECT_EQ(value("vnvram_blob_size_bytes{blob=\"a\",type=\"test\"}"), "7");
  EXPECT_EQ(value("vnvram_blob_size_max_bytes{blob=\"a\",type=\"test\"}"), "4096");
  EXPECT_EQ(value("vnvram_blob_generation{blob=\"b\"}"), "0");
  EXPECT_EQ(value("vnvram_held"), "0");
  EXPECT_EQ(value("vnvram_sealed"), "0");
  EXPECT_EQ(value("vnvram_poisoned"), "0");
  ASSERT_OK(owner_->hold(std::chrono::minutes(1)));
  EXPECT_EQ(value("vnvram_held"), "1");
  EXPECT_NE(value("vnvram_last_checkpoint_timestamp_seconds"), "");
  ASSERT_TRUE(owner_->release().ok());
  ASSERT_OK(keeper_.seal());
  EXPECT_EQ(value("vnvram_sealed"), "1");
}

TEST_F(MetricsTest, WithoutAnImageTheyAreOfTheOwnerAlone) {
  ASSERT_OK(keeper_.detach());
  EXPECT_EQ(value("vnvram_image_attached"), "0");
  EXPECT_EQ(value("vnvram_generation"), "");
  EXPECT_EQ(value("vnvram_sessions"), "1");
}

class MetricsServerTest : public Test {
protected:
  void start(MetricsServer::Setup setup) {
    auto server = MetricsServer::start(setup);
    ASSERT_OK(server);
    server_ = *std::move(server);
  }
  void SetUp() override {
    auto listener = Listener::open(*parse_socket_address("unix:" + path_), {});
    ASSERT_OK(listener);
    listener_.emplace(*std::move(listener));
  }
  [[nodiscard]] MetricsServer::Setup setup() const {
    return {.listener = *listener_, .text = [] { return std::string("metrics 1\n"); }, .log = log_};
  }
  [[nodiscard]] UniqueFd socket() const {
    Result<UniqueFd> connected = connect_to_socket(path_, "");
    EXPECT_TRUE(connected.ok());
    return *std::move(connected);
  }
  static void say(const UniqueFd& socket, const std::string& text) {
    (void)::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  /// All that comes until the other end hangs up.
  static std::string heard(const UniqueFd& socket) {
    std::string text;
    std::array<char, 4096> buffer{};
    for (;;) {
      const std::ptrdiff_t count = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        return text;
      }
      text.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }
  std::string asked(const std::string& request) const {
    const UniqueFd connection = socket();
    say(connection, request);
    return heard(connection);
  }

  TemporaryDirectory folder_{"/tmp"};
  std::string path_ = folder_.path("metrics");
  Log log_{"test", LogLevel::error};
  std::optional<Listener> listener_;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, AnswersAScrape) {
  start(setup());
  for (int round = 0; round < 20; ++round) {
    const std::string answer = asked("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
    EXPECT_NE(answer.find("Content-Type: text/plain; version=0.0.4"), std::string::npos);
    EXPECT_NE(answer.find("Content-Length: 10\r\n"), std::string::npos);
    EXPECT_TRUE(answer.ends_with("\r\n\r\nmetrics 1\n")) << answer;
  }
  EXPECT_TRUE(asked("HEAD /metrics HTTP/1.0\r\n\r\n").ends_with("\r\n\r\n"));
  EXPECT_TRUE(asked("GET /metrics?name[]=x HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
}

TEST_F(MetricsServerTest, RefusesEverythingElse) {
  start(setup());
  EXPECT_TRUE(asked("GET / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(asked("GET /metrics/../x HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(asked("POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
  for (const char* nonsense : {"\r\n\r\n", " \r\n\r\n", "GET\r\n\r\n", "GET /metrics\r\n\r\n",
                               "GET /metrics SMTP\r\n\r\n"}) {
    EXPECT_TRUE(asked(nonsense).starts_with("HTTP/1.1 400")) << nonsense;
  }
  const std::string long_request =
      "GET /metrics HTTP/1.1\r\nX: " + std::string(HttpRequest::size_max_bytes, 'x');
  EXPECT_TRUE(asked(long_request).starts_with("HTTP/1.1 431"));
}

TEST_F(MetricsServerTest, ARequestMayComeInPieces) {
  start(setup());
  const UniqueFd slow = socket();
  say(slow, "GET /met");
  EXPECT_TRUE(asked("GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200")); // Meanwhile.
  say(slow, "rics HTTP/1.1\r\n");
  say(slow, "\r\n");
  EXPECT_TRUE(heard(slow).starts_with("HTTP/1.1 200"));
}

TEST_F(MetricsServerTest, WhoSaysNothingIsDropped) {
  MetricsServer::Setup impatient = setup();
  impatient.request_max = milliseconds(20);
  start(impatient);
  EXPECT_EQ(heard(socket()), "");
  const UniqueFd slow = socket();
  say(slow, "GET /metrics HTTP/1.1\r\n");
  EXPECT_EQ(heard(slow), "");
}

TEST_F(MetricsServerTest, TheFirstMakesRoomForOneTooMany) {
  MetricsServer::Setup small = setup();
  small.limits.clients_max = 2;
  start(small);
  const UniqueFd first = socket();
  const UniqueFd second = socket();
  EXPECT_TRUE(asked("GET /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
  EXPECT_EQ(heard(first), "");
  say(second, "GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(heard(second).starts_with("HTTP/1.1 200"));
}

TEST_F(MetricsServerTest, ALongAnswerGoesToWhoIsSlow) {
  MetricsServer::Setup with_much = setup();
  const std::string much(std::size_t{4} << 20U, 'x');
  with_much.text = [&] { return much; };
  start(with_much);
  const UniqueFd slow = socket();
  say(slow, "GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(asked("GET /metrics HTTP/1.1\r\n\r\n").ends_with(much));
  EXPECT_TRUE(heard(slow).ends_with(much));
}

} // namespace
} // namespace vnvram::test
