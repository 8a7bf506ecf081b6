#include "cli/blob_options.h"

#include <fmt/core.h>

#include "base/size_text.h"
#include "cli/input.h"
#include "cli/repeated_option.h"
#include "soft_tpm/tpm_blobs.h"
#include "uefi/flash_chip.h"
#include "uefi/variable_store_template.h"

namespace vnvram::cli {
namespace {

Error malformed(const std::string& text, bool with_file) {
  return {ErrorKind::invalid_argument, fmt::format("--blob '{}' is not a blob", text),
          with_file ? "write NAME:TYPE:MAX or NAME:TYPE:MAX=FILE, e.g. eeprom:at24c:8K"
                    : "write NAME:TYPE:MAX, e.g. eeprom:at24c:8K"};
}

/// Neither names nor types can hold a colon, nor sizes an equals sign; file names may hold both.
Result<BlobOptions::NamedBlob> parse_blob(const std::string& text, bool with_file) {
  const std::size_t type_at = text.find(':');
  const std::size_t size_at =
      type_at == std::string::npos ? std::string::npos : text.find(':', type_at + 1);
  if (size_at == std::string::npos) {
    return malformed(text, with_file);
  }
  const std::size_t file_at = text.find('=', size_at + 1);
  const bool has_file = file_at != std::string::npos;
  if (has_file && (!with_file || file_at + 1 == text.size())) {
    return malformed(text, with_file);
  }
  const std::size_t size_length = has_file ? file_at - size_at - 1 : std::string::npos;
  const auto size_max = parse_size(text.substr(size_at + 1, size_length));
  if (!size_max) {
    return Error(size_max.error().kind(),
                 fmt::format("--blob '{}': {}", text, size_max.error().cause()),
                 size_max.error().remedy());
  }
  return BlobOptions::NamedBlob{
      .fresh = {.spec = {text.substr(0, type_at), text.substr(type_at + 1, size_at - type_at - 1),
                         *size_max}},
      .file = has_file ? text.substr(file_at + 1) : std::string(),
      .note = {}};
}

Result<BlobOptions::NamedBlob> read_template(const std::string& file) {
  // One byte more than a chip has tells a file that is too large.
  auto bytes = read_at_most(file, chip_size_max_bytes + 1);
  if (!bytes) {
    return bytes.error();
  }
  const auto store = VariableStoreTemplate::parse(*std::move(bytes), input_name(file));
  if (!store) {
    return store.error();
  }
  return BlobOptions::NamedBlob{.fresh = store->blob(), .file = {}, .note = store->note()};
}

// What CLI11 gives for a --tpm2 without a value: its help shows that, and it is no prefix.
constexpr std::string_view no_prefix = "=PREFIX";

std::string refuse_empty(const std::string& file) {
  return file.empty() ? "needs the name of a file" : "";
}

} // namespace

void BlobOptions::add_to(CLI::App& app, bool with_file) {
  with_file_ = with_file;
  app.add_flag(
      "--tpm2{=PREFIX}", tpm2_prefixes_,
      "the three blobs of a TPM 2.0: tpm2.permanent, ...; --tpm2=PREFIX puts PREFIX before "
      "their names, for an image with several TPMs; may be repeated");
  app.add_flag("--tpm12{=PREFIX}", tpm12_prefixes_, "the same for a TPM 1.2");
  app.add_option("--uefi", uefi_file_,
                 "the blob uefi.vars, that begins as FILE: the store of UEFI variables that comes "
                 "with a firmware, e.g. OVMF_VARS_4M.fd")
      ->type_name("FILE")
      ->check(refuse_empty);
  const std::string shape = with_file ? "NAME:TYPE:MAX[=FILE]" : "NAME:TYPE:MAX";
  repeated(app.add_option("--blob", blobs_,
                          with_file
                              ? "a blob of up to MAX bytes (K, M: 1024-fold) that begins as FILE; "
                                "may be repeated"
                              : "a blob of up to MAX bytes (K, M: 1024-fold); may be repeated"))
      ->type_name(shape)
      ->delimiter('\0');
}

Result<std::vector<BlobOptions::NamedBlob>> BlobOptions::named_blobs() const {
  std::vector<NamedBlob> result;
  const auto add_tpms = [&](TpmVersion version, const std::vector<std::string>& prefixes) {
    Status fit;
    for (const std::string& text : prefixes) {
      const std::string prefix = text == no_prefix ? "" : text;
      fit = fit ? check_tpm_blobs_prefix(prefix) : fit;
      for (BlobSpec& spec : tpm_blob_specs(version, prefix)) {
        result.push_back({.fresh = {.spec = std::move(spec)}, .file = {}, .note = {}});
      }
    }
    return fit;
  };
  if (Status fit = add_tpms(TpmVersion::tpm2_0, tpm2_prefixes_); !fit) {
    return fit.error();
  }
  if (Status fit = add_tpms(TpmVersion::tpm1_2, tpm12_prefixes_); !fit) {
    return fit.error();
  }
  if (!uefi_file_.empty()) {
    auto blob = read_template(uefi_file_);
    if (!blob) {
      return blob.error();
    }
    result.push_back(*std::move(blob));
  }
  for (const std::string& text : blobs_) {
    auto blob = parse_blob(text, with_file_);
    if (!blob) {
      return blob.error();
    }
    result.push_back(std::move(*blob));
  }
  return result;
}

Result<std::vector<BlobSpec>> BlobOptions::specs() const {
  auto named = named_blobs();
  if (!named) {
    return named.error();
  }
  std::vector<BlobSpec> result;
  for (NamedBlob& blob : *named) {
    result.push_back(std::move(blob.fresh.spec));
  }
  return result;
}

Result<std::vector<NewBlob>> BlobOptions::new_blobs(bool force) const {
  auto named = named_blobs();
  if (!named) {
    return named.error();
  }
  std::vector<NewBlob> result;
  for (NamedBlob& blob : *named) {
    if (!blob.file.empty()) {
      BlobSpec& spec = blob.fresh.spec;
      auto content = read_content(blob.file, spec.type, spec.size_max_bytes, force);
      if (!content) {
        return content.error();
      }
      spec.attributes = std::move(content->attributes);
      blob.fresh.content = std::move(content->bytes);
    }
    show_note(blob.note);
    result.push_back(std::move(blob.fresh));
  }
  return result;
}

} // namespace vnvram::cli
