"""The audit of a store: does anything but the evidence itself tell the labels?"""
