"""The routing policy on a virtual clock: the real router core, a scripted network, no socket and no waiting.

    report = simulate(read_scenario(mapping))     a scenario: providers with speeds and faults, and calls
    print(report)                                 providers, times and open breakers

`Simulation` is the engine below that, for tests that look at each call.
"""

from turnout.simulation.engine import Outcome, Script, Simulation
from turnout.simulation.report import Report
from turnout.simulation.runner import simulate
from turnout.simulation.scenario import Arrivals, Fault, Scenario, SimulatedProvider, Spread
from turnout.simulation.scenario_file import read_scenario

__all__ = [
    "Arrivals",
    "Fault",
    "Outcome",
    "Report",
    "Scenario",
    "Script",
    "SimulatedProvider",
    "Simulation",
    "Spread",
    "read_scenario",
    "simulate",
]
