"""What an operator wrote, and what each service and host gets of it. Pure.

Here belongs the way from options to typed services, with every error under the operator's own path. It must not render files of other
programs, and must not need facts but where an address is known from nothing else.
"""
