-- @description Label selected items' files
-- @version 0.1.0
-- @author The stembridge authors
-- @about Writes mood, genre and the like into the tags of the selected items' files.
local folder = select(2, reaper.get_action_context()):match("^(.*[/\\])")
assert(loadfile(folder .. "stembridge_scripts/launcher.lua"))(folder).label_files()
