"""Tests of several machines run where the test run may make them."""

from tests.machines import network

#: Made or not, said once: nothing is skipped that could have run.
collect_ignore = [] if network.may_be_made() else ["test_several_machines.py"]
