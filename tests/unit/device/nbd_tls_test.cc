// NbdDevice over TLS, with a shared key and with certificates.
#include <fstream>

#include "unit/device/nbd_fixture.h"

namespace vnvram {
namespace {

void expect_works(const Result<std::unique_ptr<NbdDevice>>& device) {
  ASSERT_OK(device);
  Bytes read(4 * block_size_bytes);
  ASSERT_OK((*device)->write_durable(0, blocks_of(1, 4)));
  ASSERT_OK((*device)->write_durable_and_read(1 << 20U, blocks_of(2, 4), 0, read));
  EXPECT_EQ(read, blocks_of(1, 4));
}

void must_run(const std::vector<std::string>& words) {
  const test::Outcome outcome = test::run(words);
  ASSERT_EQ(outcome.exit_status, 0) << words.front() << ": " << outcome.output;
}

constexpr const char* loopback = "ip_address = 127.0.0.1";

/// An authority and a certificate for this machine, as libnbd and nbdkit look for them. By its
/// address: not every machine knows the name localhost.
void make_certificates(const test::TemporaryDirectory& directory,
                       const std::string& certified = loopback) {
  const auto path = [&](const char* name) { return directory.path(name); };
  std::ofstream(path("ca.info")) << "cn = test\nca\ncert_signing_key\nexpiration_days = 2\n";
  std::ofstream(path("server.info")) << "cn = test\n"
                                     << certified
                                     << "\ntls_www_server\n"
                                        "encryption_key\nsigning_key\nexpiration_days = 2\n";
  for (const char* key : {"ca-key.pem", "server-key.pem"}) {
    must_run({"certtool", "--generate-privkey", "--key-type=ecdsa", "--outfile", path(key)});
  }
  must_run({"certtool", "--generate-self-signed", "--load-privkey", path("ca-key.pem"),
            "--template", path("ca.info"), "--outfile", path("ca-cert.pem")});
  must_run({"certtool", "--generate-certificate", "--load-ca-certificate", path("ca-cert.pem"),
            "--load-ca-privkey", path("ca-key.pem"), "--load-privkey", path("server-key.pem"),
            "--template", path("server.info"), "--outfile", path("server-cert.pem")});
}

TEST(NbdTlsTest, WorksWithASharedKey) {
  const test::TemporaryDirectory directory("/tmp");
  const std::string keys = directory.path("keys");
  must_run({"psktool", "--username", "alice", "--pskfile", keys});
  const auto server = NbdServer::nbdkit({"--tls=require", "--tls-psk=" + keys, "memory", "4M"});
  const std::string socket = "/?socket=" + server->socket();
  expect_works(try_connect("nbds+unix://alice@" + socket + "&tls-psk-file=" + keys));
  EXPECT_KIND(try_connect("nbd+unix://" + socket), unsupported);
  const std::string others = directory.path("others");
  must_run({"psktool", "--username", "alice", "--pskfile", others});
  EXPECT_KIND(try_connect("nbds+unix://alice@" + socket + "&tls-psk-file=" + others), io);
}

std::unique_ptr<NbdServer> serve_with(const test::TemporaryDirectory& certificates) {
  return NbdServer::nbdkit_on_tcp(
      {"--tls=require", "--tls-certificates", certificates.path("."), "memory", "4M"});
}

std::string uri_of(const NbdServer& server, const test::TemporaryDirectory& trusted) {
  return "nbds://127.0.0.1:" + std::to_string(server.port()) +
         "/?tls-certificates=" + trusted.path(".");
}

TEST(NbdTlsTest, WorksWithCertificates) {
  const test::TemporaryDirectory directory("/tmp");
  make_certificates(directory);
  const auto server = serve_with(directory);
  expect_works(try_connect(uri_of(*server, directory)));
  EXPECT_KIND(try_connect(server->uri()), unsupported);
  const test::TemporaryDirectory strangers("/tmp");
  make_certificates(strangers);
  EXPECT_KIND(try_connect(uri_of(*server, strangers)), io);
}

TEST(NbdTlsTest, AnotherMachinesCertificateIsRefused) {
  const test::TemporaryDirectory directory("/tmp");
  make_certificates(directory, "dns_name = elsewhere.example");
  const auto server = serve_with(directory);
  EXPECT_KIND(try_connect(uri_of(*server, directory)), io);
}

TEST(NbdTlsTest, NothingIsSentInTheClearWhenTlsWasAskedFor) {
  const auto server = NbdServer::nbdkit({"--tls=off", "memory", "4M"});
  EXPECT_KIND(try_connect("nbds+unix:///?socket=" + server->socket()), unsupported);
}

TEST(NbdTlsTest, APeerThatHasGoneSendsNoSignal) {
  const test::TemporaryDirectory directory("/tmp");
  const std::string keys = directory.path("keys");
  must_run({"psktool", "--username", "alice", "--pskfile", keys});
  const auto server = NbdServer::nbdkit({"--tls=require", "--tls-psk=" + keys, "memory", "64M"});
  const auto device =
      try_connect("nbds+unix://alice@/?socket=" + server->socket() + "&tls-psk-file=" + keys);
  ASSERT_OK(device);
  server->kill();
  const Bytes large(std::size_t{4} << 20U);
  EXPECT_KIND((*device)->write(0, large), io);
  EXPECT_KIND((*device)->write(0, large), io);
}

} // namespace
} // namespace vnvram
