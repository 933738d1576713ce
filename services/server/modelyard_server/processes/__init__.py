"""A main for each service and for the all-in-one."""
