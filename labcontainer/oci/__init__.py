"""The specifications of the Open Container Initiative as data: frozen dataclasses, checked as they are read.

No I/O but the bundle's own file. What others wrote is hostile until it has become one of these.
"""
