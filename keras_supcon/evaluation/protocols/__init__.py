"""Protocols of evaluation, one a file: functions of arrays that return a `Result`."""
