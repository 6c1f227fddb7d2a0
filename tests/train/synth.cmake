sandglass_test(synth_test SOURCES synth_test.cpp LABEL data LIBRARIES sandglass_synth TIMEOUT 600)

# Contact sheets and speed of the synthetic faces: `synth_look sheets DIR`, `synth_look speed`.
add_executable(synth_look synth_look.cpp)
target_link_libraries(synth_look PRIVATE sandglass_synth)
