tpn_unit(request tpn_broker_core)
tpn_unit(retry tpn_broker_core)
tpn_unit(roster tpn_broker_core)
tpn_unit(state tpn_broker_core)
