# The base library.
tpn_unit(buf tpn_base)
tpn_unit(chain tpn_base)
tpn_unit(conf tpn_base)
tpn_unit(digest tpn_base)
tpn_unit(err tpn_base)
tpn_unit(loop tpn_base)
tpn_unit(map tpn_base)
tpn_unit(arena tpn_base)
