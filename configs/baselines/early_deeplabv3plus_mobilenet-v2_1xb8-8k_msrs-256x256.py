# Early fusion: the pair as four channels.
_base_ = '../uaafusion/uaafusion_deeplabv3plus_mobilenet-v2_1xb8-8k_msrs-256x256.py'
model = dict(fusion=dict(_delete_=True, type='AverageFusion'), reads='pair')
