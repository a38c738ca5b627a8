# Makes `mmseg::` bases of a config work on every stack, also under mmseg's own tools. A plain `import` here would turn
# the file into mmengine's lazy kind of config.
__import__('mmfusion')
