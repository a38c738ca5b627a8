# The segmentor reads the pair alone; the unfolding still serves the refiner.
_base_ = '../uaafusion/uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(reads='pair')
