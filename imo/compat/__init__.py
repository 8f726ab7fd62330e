"""All that knows Dassl: its stand-in, the choice between stand-in and real one, and the registration of plug-ins."""
