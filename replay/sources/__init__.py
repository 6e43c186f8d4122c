"""Services a job asks while it runs: recorded when its state is bound, answered from the record afterwards."""
