# The store: contract, model, faults, crashes; and its thread.
tpn_unit(store tpn_broker_core PkgConfig::SQLITE)
tpn_unit(store_model tpn_broker_core)
tpn_unit(store_note tpn_broker_core)
tpn_unit(store_fault tpn_broker_core PkgConfig::SQLITE)
tpn_unit(store_crash tpn_broker_core)
tpn_unit(store_power tpn_broker_core PkgConfig::SQLITE)
tpn_unit(store_thread tpn_broker_core Threads::Threads)
tpn_unit(store_log tpn_broker_core PkgConfig::SQLITE)
