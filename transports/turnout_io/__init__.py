"""Everything of Turnout that touches the world: transports, drivers, files, the sandbox, the command line.

Import the driver you want: `turnout_io.sync.Router` for blocking code, `turnout_io.trio.Router` for trio.
Importing this package opens nothing, reads nothing and starts nothing.
"""
