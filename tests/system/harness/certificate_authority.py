"""An authority of certificates that is a test's own: swtpm_localca makes its keys when it is first asked."""

LOCALCA = """statedir = {folder}
signingkey = {folder}/signkey.pem
issuercert = {folder}/issuercert.pem
certserial = {folder}/certserial
"""
SETUP = """create_certs_tool = /usr/bin/swtpm_localca
create_certs_tool_config = {folder}/swtpm-localca.conf
create_certs_tool_options = /etc/swtpm-localca.options
active_pcr_banks = sha256
"""


def make_authority(folder):
    """In this folder; returns the configuration for swtpm_setup."""
    (folder / "swtpm-localca.conf").write_text(LOCALCA.format(folder=folder), "utf-8")
    config = folder / "swtpm_setup.conf"
    config.write_text(SETUP.format(folder=folder), "utf-8")
    return config
