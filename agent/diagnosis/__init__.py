"""Remote diagnosis: named, read-only examinations that a ticket or a person asks for, and that the customer allows.

Nothing of this folder is loaded by the running agent: all of it happens in short-lived processes of their own.
"""
