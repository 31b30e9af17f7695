# The wire and the rules of its fields.
tpn_unit(address tpn_transport)
tpn_unit(bus tpn_transport)
tpn_unit(bus_lock tpn_transport PkgConfig::ZMQ)
tpn_unit(check tpn_transport)
tpn_unit(message_rule tpn_transport)
tpn_unit(seal tpn_transport PkgConfig::CRYPTO)
tpn_unit(settings tpn_transport)
tpn_unit(text tpn_transport)
