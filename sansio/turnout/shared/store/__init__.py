"""How shared state is kept in Valkey or Redis: the address, the protocol, the keys and the scripts."""
