"""What `cmake --install` leaves is enough to build and run programs with, and complete.

The environment says what to test: VNVRAM_BUILD_DIR, VNVRAM_SOURCE_DIR.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["VNVRAM_BUILD_DIR"])
SOURCE = pathlib.Path(os.environ["VNVRAM_SOURCE_DIR"])


def run(*argv, **options):
    done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
                          check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{argv}: status {done.returncode}\n{done.stdout}")
    return done.stdout


class BuiltForInstallingTest(unittest.TestCase):
    """`cmake --install` after a demo, and nothing else, finds everything that it installs."""

    @staticmethod
    def installed_files():
        """What install rules take from the build, by the rules' own text."""
        found = set()
        for script in BUILD.rglob("cmake_install.cmake"):
            for name in re.findall(rf'"{re.escape(str(BUILD))}/([^"]+)"',
                                   script.read_text("utf-8")):
                if name.startswith(("bin/", "lib/")):
                    found.add(name)
        return found

    @staticmethod
    def targets_of_demos():
        """{command: the targets that it builds}."""
        lines = (SOURCE / "dev").read_text("utf-8").replace("\\\n", " ")
        found = {}
        for names, build in re.findall(r"^  (demo[a-z |-]*)\)\s*install_deps; build release ([^;]+);",
                                       lines, re.MULTILINE):
            for name in names.split(" | "):
                found[name] = build.split()
        return found

    def test_every_demo_builds_all_that_is_installed(self):
        files = self.installed_files()
        self.assertGreaterEqual({pathlib.Path(name).name for name in files},
                                {"vnvram", "vnvram-tpm", "vnvram-swtpm", "nbdkit-vnvram-plugin.so",
                                 "nbdkit-vnvram-owner-plugin.so", "libvnvram.a", "libvnvram.so"})
        demos = self.targets_of_demos()
        self.assertEqual(set(demos), {"demo", "demo-snapshot", "demo-migrate", "demo-cluster"})
        for command, targets in demos.items():
            words = run("ninja", "-C", BUILD, "-t", "commands", *targets).split()
            self.assertEqual(files - set(words), set(), f"./dev {command} does not build them")


class InstallTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="vnvram-install-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.work = pathlib.Path(cls.folder.name)
        # Moved after installing: nothing may depend on where it was installed.
        run("cmake", "--install", BUILD, "--prefix", "/usr",
            env={**os.environ, "DESTDIR": str(cls.work / "first")})
        cls.root = (cls.work / "first").rename(cls.work / "moved")
        cls.prefix = cls.root / "usr"
        cls.pkgconfig = next(cls.prefix.rglob("vnvram.pc")).parent
        cls.libraries = cls.pkgconfig.parent
        cls.environment = {**os.environ, "PKG_CONFIG_PATH": str(cls.pkgconfig),
                           "LD_LIBRARY_PATH": str(cls.libraries)}

    def pkg_config(self, *options):
        return run("pkg-config", *options, "vnvram", env=self.environment).split()

    def test_everything_is_there(self):
        for name in ("bin/vnvram", "bin/vnvram-tpm", "bin/vnvram-swtpm", "include/vnvram/vnvram.h",
                     "include/vnvram/store.h", "share/man/man1/vnvram.1",
                     "share/man/man3/vnvram.3", "share/man/man8/vnvram-swtpm-back.8", "sbin/vnvram-swtpm-back",
                     "share/bash-completion/completions/vnvram", "share/bash-completion/completions/vnvram-swtpm",
                     "share/zsh/site-functions/_vnvram", "lib/systemd/system/vnvram@.service",
                     "lib/systemd/system/vnvram-tpm@.socket",
                     "lib/systemd/system/vnvram-nbd@.socket",
                     "lib/systemd/system/vnvram-control@.socket"):
            self.assertTrue((self.prefix / name).is_file(), name)
        installed = {path.name for path in (self.prefix / "include/vnvram").iterdir()}
        self.assertEqual(installed, {path.name for path in (SOURCE / "include/vnvram").iterdir()})
        self.assertTrue((self.libraries / "libvnvram.a").is_file())
        self.assertTrue((self.libraries / "libvnvram.so.0").is_symlink())
        self.assertIn("vnvram", run(self.prefix / "bin/vnvram", "--version"))
        self.assertTrue((self.prefix / "share/man/man1/nbdkit-vnvram-plugin.1").is_file())
        plugins = run("pkg-config", "--variable=plugindir", "nbdkit").strip()
        for name in ("vnvram", "vnvram-owner"):
            plugin = pathlib.Path(f"{self.root}{plugins}/nbdkit-{name}-plugin.so")
            self.assertTrue(plugin.is_file(), plugin)

    @unittest.skipUnless(os.geteuid() == 0, "only root can mount what was installed over a folder")
    def test_nbdkit_finds_the_plugin(self):
        plugins = run("pkg-config", "--variable=plugindir", "nbdkit").strip()
        said = run("unshare", "--mount", "sh", "-ec",
                   'mount --bind "$1" "$2"; exec nbdkit vnvram --dump-plugin', "sh",
                   f"{self.root}{plugins}", plugins)
        self.assertIn("name=vnvram\n", said)
        self.assertIn("thread_model=serialize_requests\n", said)

    def test_c_program_through_pkg_config(self):
        program = self.work / "embed_c"
        run("cc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Wpedantic",
            "-Werror", *self.pkg_config("--cflags"), SOURCE / "examples/embed.c",
            *self.pkg_config("--libs"), "-o", program)
        self.assert_counts_boots(program, self.work / "c.nvram")

    def test_c_program_linked_statically(self):
        program = self.work / "embed_static"
        libraries = [word for word in self.pkg_config("--libs", "--static") if word != "-lvnvram"]
        run("cc", "-std=c11", *self.pkg_config("--cflags"), SOURCE / "examples/embed.c",
            self.libraries / "libvnvram.a", *libraries, "-o", program)
        needed = run("ldd", program)
        self.assertNotIn("libvnvram", needed)
        self.assert_counts_boots(program, self.work / "static.nvram")

    def assert_counts_boots(self, program, image):
        first = run(program, image, env=self.environment)
        self.assertIn("after reopening: boot 1, eeprom \"booted 1 times\"", first)
        second = run(program, image, env=self.environment)
        self.assertIn("boot 2 is durable", second)
        self.assertIn("after reopening: boot 2", second)
        run(self.prefix / "bin/vnvram", "check", image)

    def test_cpp_program_through_find_package(self):
        build = self.work / "examples"
        run("cmake", "-G", "Ninja", "-S", SOURCE / "examples", "-B", build,
            f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DCMAKE_BUILD_TYPE=Debug")
        self.assertIn(str(self.prefix), (build / "CMakeCache.txt").read_text(encoding="utf-8"))
        run("cmake", "--build", build)
        image = self.work / "cc.nvram"
        self.assertIn("made ", run(build / "embed_cc", image))
        self.assertIn("power on number 1\npower on number 2\n", run(build / "embed_cc", image))
        run(self.prefix / "bin/vnvram", "check", image)


if __name__ == "__main__":
    sys.exit(unittest.main())
