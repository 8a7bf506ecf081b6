#include "cli/machine_text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <string_view>

#include <fmt/core.h>

#include "uefi/flash_chip.h"

namespace vnvram::cli {
namespace {

// QEMU waits so long for exports whose server is being started again (docs/operations.md).
constexpr int reconnect_delay_seconds = 60;

bool is_letter_or_digit(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

// For a shell: as it is if that means nothing to one.
std::string shell_word(const std::string& word) {
  constexpr std::string_view harmless = "._/+@%:=,-";
  if (std::all_of(word.begin(), word.end(), [&](char c) {
        return is_letter_or_digit(c) || harmless.find(c) != std::string_view::npos;
      })) {
    return word;
  }
  std::string quoted = "'";
  for (const char c : word) {
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return quoted + "'";
}

// In one of QEMU's lists of NAME=VALUE.
std::string list_value(const std::string& text) {
  std::string value;
  for (const char c : text) {
    value += c == ',' ? std::string(",,") : std::string(1, c);
  }
  return value;
}

// QEMU's ids begin with a letter and have few other characters than names of blobs.
std::string drive_id(const std::string& blob) {
  std::string id = "nvram-" + blob;
  std::replace_if(
      id.begin(), id.end(),
      [](char c) { return !is_letter_or_digit(c) && c != '-' && c != '.' && c != '_'; }, '-');
  return id;
}

std::string xml_value(const std::string& text) {
  std::string value;
  for (const char c : text) {
    switch (c) {
    case '&': value += "&amp;"; break;
    case '<': value += "&lt;"; break;
    case '\'': value += "&apos;"; break;
    default: value += c;
    }
  }
  return value;
}

// A chip that is larger than what its firmware uses is that of QEMU's machines `virt`.
bool is_virt(const MachineDevices& devices) {
  return devices.variables &&
         chip_size_bytes(devices.variables->blob) > devices.variables->blob.size_max_bytes;
}

// The code that has such a store, where Debian has it; nothing if that is not known.
std::string firmware_code(const MachineDevices& devices) {
  struct Firmware {
    std::uint64_t chip_size_bytes;
    const char* code;
  };
  constexpr std::array firmware = {
      Firmware{540672, "/usr/share/OVMF/OVMF_CODE_4M.fd"},
      Firmware{131072, "/usr/share/OVMF/OVMF_CODE.fd"},
      Firmware{std::uint64_t{64} << 20U, "/usr/share/AAVMF/AAVMF_CODE.fd"}};
  for (const Firmware& each : firmware) {
    if (each.chip_size_bytes == chip_size_bytes(devices.variables->blob)) {
      return each.code;
    }
  }
  return {};
}

std::string firmware_code_or_word(const MachineDevices& devices) {
  const std::string code = firmware_code(devices);
  return code.empty() ? "FIRMWARE_CODE.fd" : code;
}

std::string tpm_model(const MachineDevices& devices) {
  if (is_virt(devices)) {
    return "tpm-tis-device";
  }
  return devices.tpm->version == TpmVersion::tpm2_0 ? "tpm-crb" : "tpm-tis";
}

std::string drive_value(const std::string& interface, const MachineDevices::Drive& drive) {
  return fmt::format("{},format=raw{},file.driver=nbd,file.server.type=unix,file.server.path={},"
                     "file.export={},file.reconnect-delay={}",
                     interface, drive.is_read_only ? ",readonly=on" : "", list_value(drive.socket),
                     list_value(drive.blob.name), reconnect_delay_seconds);
}

void add_firmware_note(const MachineDevices& devices, std::vector<std::string>& notes) {
  if (!devices.variables) {
    return;
  }
  const std::string code = firmware_code(devices);
  notes.push_back(code.empty()
                      ? "FIRMWARE_CODE.fd stands for the code of the firmware that " +
                            devices.variables->blob.name + " belongs to"
                      : code + " goes with a store of this size; another build of the firmware's "
                               "code, as for Secure Boot, is for you to name");
}

} // namespace

std::string qemu_text(const MachineDevices& devices) {
  std::vector<std::string> options;
  const auto add = [&](const std::string& option, const std::string& value) {
    options.push_back(option + " " + shell_word(value));
  };
  if (devices.tpm) {
    add("-chardev", "socket,id=tpm,path=" + list_value(devices.tpm->socket));
    add("-tpmdev", "emulator,id=tpm0,chardev=tpm");
    add("-device", tpm_model(devices) + ",tpmdev=tpm0");
  }
  if (devices.variables) {
    add("-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + firmware_code_or_word(devices));
    add("-drive", drive_value("if=pflash,unit=1", *devices.variables));
  }
  for (const MachineDevices::Drive& drive : devices.others) {
    add("-drive", drive_value("if=none,id=" + drive_id(drive.blob.name), drive));
  }
  std::string text;
  for (const std::string& option : options) {
    text += (text.empty() ? "  " : " \\\n  ") + option;
  }
  return text.empty() ? text : text + "\n";
}

std::vector<std::string> qemu_notes(const MachineDevices& devices) {
  std::vector<std::string> notes;
  add_firmware_note(devices, notes);
  for (const MachineDevices::Drive& drive : devices.others) {
    notes.push_back(fmt::format("{} (of type {}): its device is for you to add, with drive={}",
                                drive.blob.name, drive.blob.type, drive_id(drive.blob.name)));
  }
  return notes;
}

std::string libvirt_text(const MachineDevices& devices) {
  std::string text = "<domain>\n";
  if (devices.variables) {
    text += fmt::format("  <os>\n"
                        "    <loader readonly='yes' type='pflash'>{}</loader>\n"
                        "    <nvram type='network'>\n"
                        "      <source protocol='nbd' name='{}'>\n"
                        "        <host transport='unix' socket='{}'/>\n"
                        "      </source>\n"
                        "    </nvram>\n"
                        "  </os>\n",
                        firmware_code_or_word(devices), xml_value(devices.variables->blob.name),
                        xml_value(devices.variables->socket));
  }
  if (devices.tpm) {
    text += fmt::format("  <devices>\n"
                        "    <tpm model='{}'>\n"
                        "      <backend type='external'>\n"
                        "        <source type='unix' mode='connect' path='{}'/>\n"
                        "      </backend>\n"
                        "    </tpm>\n"
                        "  </devices>\n",
                        tpm_model(devices) == "tpm-crb" ? "tpm-crb" : "tpm-tis",
                        xml_value(devices.tpm->socket));
  }
  return text + "</domain>\n";
}

std::vector<std::string> libvirt_notes(const MachineDevices& devices) {
  std::vector<std::string> notes;
  add_firmware_note(devices, notes);
  for (const MachineDevices::Drive& drive : devices.others) {
    notes.push_back(fmt::format("{}: libvirt has no element for such a device; --print qemu has "
                                "arguments for its <qemu:commandline>",
                                drive.blob.name));
  }
  return notes;
}

} // namespace vnvram::cli
