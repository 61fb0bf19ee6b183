# As micropython.mk: the same sources, and -O2 for the same of them.

file(GLOB EBNN_ENGINE ${CMAKE_CURRENT_LIST_DIR}/engine/*.c)

add_library(usermod_ebnn INTERFACE)
target_sources(usermod_ebnn INTERFACE ${CMAKE_CURRENT_LIST_DIR}/modebnn.c ${EBNN_ENGINE})
target_include_directories(usermod_ebnn INTERFACE ${CMAKE_CURRENT_LIST_DIR})
target_link_libraries(usermod INTERFACE usermod_ebnn)

# Options of a source come after those of the port's target, so they win over its -Os or -Og. They hold in the folder
# that includes this file, which is where ports make that target.
if(NOT DEFINED EBNN_COPT)
    set(EBNN_COPT -O2)
endif()
set(EBNN_FAST ${EBNN_ENGINE})
list(FILTER EBNN_FAST EXCLUDE REGEX "/ebnn_(open|run|values)\\.c$")
set_source_files_properties(${EBNN_FAST} PROPERTIES COMPILE_OPTIONS "${EBNN_COPT}")
