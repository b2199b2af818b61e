"""The law and what runs it: cells, the driver, deferred gradients, masks, traces."""
