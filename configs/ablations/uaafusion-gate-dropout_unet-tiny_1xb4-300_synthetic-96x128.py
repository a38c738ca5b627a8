# A tenth of the training pairs lacks a sensor.
_base_ = '../uaafusion/uaafusion-gate_unet-tiny_1xb4-300_synthetic-96x128.py'
model = dict(sensor_dropout=dict(type='SensorDropout', prob=0.1))
