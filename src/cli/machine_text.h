// A machine's devices in the words of those that start machines.
#pragma once

#include <string>
#include <vector>

#include "cli/machine_devices.h"

namespace vnvram::cli {

/// Arguments for QEMU, one option a line, quoted for a shell, which takes all lines as one.
[[nodiscard]] std::string qemu_text(const MachineDevices& devices);
/// A domain's elements, each where it belongs. Devices that libvirt has no element for are left
/// out.
[[nodiscard]] std::string libvirt_text(const MachineDevices& devices);
/// What is left for who pastes the one or the other, a line each.
[[nodiscard]] std::vector<std::string> qemu_notes(const MachineDevices& devices);
[[nodiscard]] std::vector<std::string> libvirt_notes(const MachineDevices& devices);

} // namespace vnvram::cli
