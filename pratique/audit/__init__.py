"""What happened: the record, the chain and its verification. Pure: no I/O, no clock."""
