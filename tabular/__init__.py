"""Tables and file names as people write them; openpyxl reads workbooks, the rest is the standard library's."""
