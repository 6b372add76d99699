"""May it? The pure part of Pratique: policy, labels and the decision. No I/O, no clock."""
