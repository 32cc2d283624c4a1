-- @description Separate selected items (last preset)
-- @version 0.1.0
-- @author The stembridge authors
-- @about Splits the files of the selected items into stems by the preset that was used last.
local folder = select(2, reaper.get_action_context()):match("^(.*[/\\])")
assert(loadfile(folder .. "stembridge_scripts/launcher.lua"))(folder).separate_again()
