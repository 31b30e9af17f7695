"""Node modules that tests use as peers: installed once into the build folder, in the versions named here."""

import fcntl
import json
import os
import shutil
import subprocess

# Versions that Debian 12's Node.js (18) can run.
VERSIONS = {"oidc-provider": "8.8.1", "mailparser": "3.7.4", "mailauth": "4.8.1", "bullmq": "6.7.0",
            "ioredis": "5.9.3", "nodemailer": "9.1.1"}


def install(build_dir, *names):
    """The folder that holds node_modules with these packages, for NODE_PATH. Raises with what is missing: it is no reason to skip."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise RuntimeError(f"{program} is missing: install nodejs and npm (deploy/lib/packages.sh)")
    folder = os.path.join(build_dir, "npm", "-".join(names))
    wanted = {name: VERSIONS[name] for name in names}
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = os.path.join(folder, "done.json")
        if not os.path.exists(done) or json.load(open(done, encoding="utf-8")) != wanted:
            with open(os.path.join(folder, "package.json"), "w", encoding="utf-8") as file:
                json.dump({"private": True, "dependencies": wanted}, file)
            made = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=False,
                                  capture_output=True, text=True, timeout=300)
            if made.returncode != 0:
                raise RuntimeError(f"npm install {' '.join(names)} failed: {made.stdout[-500:]}{made.stderr[-1500:]}")
            with open(done, "w", encoding="utf-8") as file:
                json.dump(wanted, file)
    return os.path.join(folder, "node_modules")
