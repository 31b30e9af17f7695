# The producer's side and the monitor.
tpn_unit(csv tpn_cli)
tpn_unit(due tpn_cli)
tpn_unit(follow tpn_monitor_core)
tpn_unit(tpn_client tpn_static Threads::Threads)
tpn_unit(tpn_request tpn_static)
