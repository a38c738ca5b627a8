# The same, and three tenths of the training pairs lack a sensor.
_base_ = '../uaafusion/uaafusion-views_efficientnet-lite0_1xb4-300_weedmap-160x192.py'
model = dict(sensor_dropout=dict(type='SensorDropout', prob=0.3, replacement=['blur', 'black']))
