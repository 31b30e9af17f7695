# shellcheck shell=bash
# Debian 12 packages, and how to have them. Sourced by deploy/first-run and tests/run.

# shellcheck disable=SC2034  # read by those who source this
build_packages=(
    cmake ninja-build pkg-config gcc libc6-dev libzmq3-dev libcurl4-openssl-dev libssl-dev libprotobuf-c-dev
    protobuf-c-compiler protobuf-compiler libsqlite3-dev libyaml-dev libidn2-dev libjansson-dev libglib2.0-dev tzdata uthash-dev
    ca-certificates)
# shellcheck disable=SC2034
test_packages=(
    clang libclang-rt-14-dev libcmocka-dev python3 python3-zmq python3-protobuf postfix sasl2-bin libsasl2-modules
    dovecot-core dovecot-submissiond swaks libnet-ssleay-perl libdigest-hmac-perl msmtp libgnutls-dane0 libspf2-2
    libidn12 libmariadb3 libpq5 libperl5.36 # the last six: of Exim, which is unpacked only (tests/peers/exim_peer.py)
    python3-dkim python3-nacl python3-icalendar opendkim libgmime-3.0-dev
    python3-seccomp systemd openssl util-linux git shellcheck clang-format clang-tidy cppcheck)

# Peers from npm. A Node.js from elsewhere brings its own npm, and Debian's cannot stand beside it.
if ! command -v npm >/dev/null; then
    test_packages+=(nodejs npm)
fi

# install_packages NAME…: what is missing, by apt-get, as root or by sudo. Needs neither when all are there.
install_packages() {
    local name missing=() sudo=()
    for name in "$@"; do
        if [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) != installed ]]; then
            missing+=("$name")
        fi
    done
    if ((${#missing[@]} == 0)); then
        return 0
    fi
    echo "installing: ${missing[*]}"
    if ((EUID != 0)); then
        if ! command -v sudo >/dev/null; then
            echo "these packages are missing and need root to install: ${missing[*]}" >&2
            return 1
        fi
        sudo=(sudo)
    fi
    "${sudo[@]}" apt-get update -q
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}
